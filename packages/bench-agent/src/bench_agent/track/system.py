"""What the machine does while a training runs, as a track of the agent's own: every 5 seconds, `system/...`.

In a container the numbers of CPUs and memory are its own, of its control group; else they are the machine's.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from bench_track.records import MAGIC, pack_points, pack_shape

from bench_agent.run.cgroup import cpu_seconds, memory_bytes

SECONDS = 5.0
"""Between two points."""

Values = dict[str, float]


def record_system(folder: Path, ended: threading.Event, *, seconds: float = SECONDS) -> None:
    """Write points until told to end. A full disk, or a device that does not answer, costs points.

    Args:
        folder: Of the tracks; made if absent.
        ended: Set when it is to end.
        seconds: Between two points.
    """
    meters = [meter for make in (_Cpu, _Memory, _Disk, _Network, _Gpus) if (meter := make()).values()]
    writer = _Writer(folder)
    step = 0
    while not ended.wait(seconds):
        found: Values = {}
        for meter in meters:
            with contextlib.suppress(OSError, psutil.Error):
                found |= meter.values()
        with contextlib.suppress(OSError):
            writer.write(found, step)
        step += 1


class _Writer:
    def __init__(self, folder: Path) -> None:
        self._path = folder / f"0-{os.getpid()}-{os.urandom(4).hex()}.records"
        self._shapes: dict[tuple[str, ...], int] = {}

    def write(self, values: Values, step: int) -> None:
        """Append a point for each value; all of it, or nothing.

        Raises:
            OSError: It cannot be written.
        """
        names = tuple(values)
        shape = self._shapes.get(names, len(self._shapes) + 1)
        data = pack_points(shape, step=step, time=time.time_ns(), values=list(values.values()))
        if names not in self._shapes:
            data = pack_shape(shape, names) + data
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path, "ab", buffering=0) as file:
            size = file.tell()
            whole = data if size else MAGIC + data
            if file.write(whole) != len(whole):
                file.truncate(size)
                raise OSError("no space is left")
        self._shapes[names] = shape


class _Rate:
    """How fast a count grows."""

    def __init__(self, count: Callable[[], float]) -> None:
        self._count = count
        self._last = (time.monotonic(), count())

    def per_second(self) -> float:
        before, last = self._last
        self._last = now, count = time.monotonic(), self._count()
        return max(0.0, count - last) / max(now - before, 1e-6)


class _Cpu:
    """100 for each CPU that is busy all the time."""

    def __init__(self) -> None:
        self._rate = _Rate(_cpu_seconds)

    def values(self) -> Values:
        return {"system/cpu_percent": 100.0 * self._rate.per_second()}


def _cpu_seconds() -> float:
    own = cpu_seconds()
    if own is not None:
        return own
    times = psutil.cpu_times()
    return times.user + times.system


class _Memory:
    def values(self) -> Values:
        own = memory_bytes()
        return {"system/memory_bytes": float(own if own is not None else psutil.virtual_memory().used)}


class _Disk:
    def __init__(self) -> None:
        self._rates: dict[str, _Rate] = {}
        if psutil.disk_io_counters() is not None:
            self._rates["system/disk_read_bytes_per_second"] = _Rate(lambda: _disk("read_bytes"))
            self._rates["system/disk_write_bytes_per_second"] = _Rate(lambda: _disk("write_bytes"))

    def values(self) -> Values:
        used = {"system/disk_percent": psutil.disk_usage("/").percent}
        return used | {name: rate.per_second() for name, rate in self._rates.items()}


def _disk(field: str) -> float:
    return float(getattr(psutil.disk_io_counters(), field, 0))


class _Network:
    def __init__(self) -> None:
        self._rates = {
            "system/network_receive_bytes_per_second": _Rate(lambda: _network("bytes_recv")),
            "system/network_send_bytes_per_second": _Rate(lambda: _network("bytes_sent")),
        }

    def values(self) -> Values:
        return {name: rate.per_second() for name, rate in self._rates.items()}


def _network(field: str) -> float:
    return float(getattr(psutil.net_io_counters(), field, 0))


class _Gpus:
    """NVIDIA's, by the driver's own library; none where that is not."""

    def __init__(self) -> None:
        self._handles: list[object] = []
        try:
            import pynvml  # type: ignore[import-untyped]

            pynvml.nvmlInit()
            self._nvml = pynvml
            self._handles = [
                pynvml.nvmlDeviceGetHandleByIndex(at) for at in range(pynvml.nvmlDeviceGetCount())
            ]
        except Exception:  # no driver, no GPU, another version of either: there is nothing to say
            self._handles = []

    def values(self) -> Values:
        found: Values = {}
        for number, handle in enumerate(self._handles):
            for name, read in self._readings(handle):
                with contextlib.suppress(self._nvml.NVMLError):
                    found[f"system/gpu{number}_{name}"] = float(read())
        return found

    def _readings(self, handle: object) -> "Iterator[tuple[str, Callable[[], float]]]":
        nvml = self._nvml
        yield "percent", lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu
        yield "memory_bytes", lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used
        yield "watts", lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000
        yield "celsius", lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
