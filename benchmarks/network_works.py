"""The works that need a server. What is timed is the client's call; servers are started before."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import torch

from benchmarks import data

CLIENTS, CALLS = 8, 400
EPOCHS = 3
CROWD_CLIENTS, CROWD_SECONDS, CROWD_BYTES = 32, 60.0, 8 << 20

Figures = dict[str, float]


def upload(contender: Any, source: Path, out: Path) -> Figures:
    """A dataset over loopback to an empty server."""
    with _scratch(out) as scratch, contender.open_transfer(scratch) as transfer:
        return _speed(out, lambda: transfer.upload(out))


def download(contender: Any, source: Path, out: Path) -> Figures:
    """The same back."""
    with _scratch(out) as scratch, contender.open_transfer(scratch) as transfer:
        transfer.upload(out)
        return _speed(out, lambda: transfer.download(scratch / "there"))


def push_linked(contender: Any, source: Path, out: Path) -> Figures:
    """A dataset to a server on the same file system."""
    with _scratch(out) as scratch, contender.open_linked(scratch) as transfer:
        return _speed(out, lambda: transfer.push(out))


def push_again(contender: Any, source: Path, out: Path) -> Figures:
    """A push of what the server has."""
    with _scratch(out) as scratch, contender.open_transfer(scratch) as transfer:
        transfer.push(out)
        start = perf_counter()
        sent = transfer.push(out)
        return {"seconds": perf_counter() - start, "sent_megabytes": sent / 1e6}


def calls(contender: Any, source: Path, out: Path) -> Figures:
    """Small calls by several clients at once."""
    with _scratch(out) as scratch, contender.open_linked(scratch) as transfer:
        transfer.push(out)
        figures: Figures = contender.call_times(transfer.server, CLIENTS, CALLS)
        return figures


def crowd(contender: Any, source: Path, out: Path) -> Figures:
    """Many clients at once, and what the server's process has grown by afterwards."""
    with _scratch(out) as scratch, contender.open_transfer(scratch) as transfer:
        server, pid = transfer.server, transfer.server.pid()
        contender.crowd(server, CROWD_CLIENTS, 10.0, CROWD_BYTES)  # its threads and buffers
        before = _process(pid)
        figures: Figures = contender.crowd(server, CROWD_CLIENTS, CROWD_SECONDS, CROWD_BYTES)
        sleep(2)
        after = _process(pid)
        return {
            **figures,
            "grown_megabytes": (after[0] - before[0]) / 1e6,
            "grown_handles": float(after[1] - before[1]),
        }


def stream(contender: Any, source: Path, out: Path) -> Figures:
    """Two epochs of data on a server: the cache is empty before the first."""
    with _scratch(out) as scratch, contender.open_stream(out, scratch) as epoch:
        cold, check = _epoch(epoch)
        cached, _ = _epoch(epoch)
        return {"cold_per_second": cold, "cached_per_second": cached, "check": check}


def stream_shares(contender: Any, source: Path, out: Path) -> Figures:
    """What streaming reaches of a download the same way, and from the cache of the local epoch."""
    with _scratch(out) as scratch, contender.open_stream_and_download(out, scratch) as (epoch, download):
        downloaded = _seconds(lambda: download(scratch / "there"))
        streamed = _seconds(lambda: _counted(epoch))
        local = cached = 0.0
        for _ in range(EPOCHS):  # in turn: what else the machine does meets both
            local += _seconds(lambda: _counted(lambda: contender.epoch(source, out, False)))
            cached += _seconds(lambda: _counted(epoch))
        return {"of_download": downloaded / streamed, "of_local": local / cached}


def stream_first_batch(contender: Any, source: Path, out: Path) -> Figures:
    """Until the first batch of data on a server is there."""
    with _scratch(out) as scratch, contender.open_stream(out, scratch) as epoch:
        start = perf_counter()
        batches = iter(epoch())
        next(batches)
        return {"seconds": perf_counter() - start}  # before the workers are ended, which may take seconds


def _epoch(epoch: Callable[[], Any]) -> tuple[float, float]:
    """Samples a second, and what shows that all were read."""
    start = perf_counter()
    count, check = _counted(epoch)
    return count / (perf_counter() - start), check


def _counted(epoch: Callable[[], Any]) -> tuple[int, float]:
    count = sums = 0
    for labels, touched in epoch():
        count += len(labels)
        sums += int(torch.as_tensor(labels).sum()) + int(torch.as_tensor(touched).sum())
    return count, float(count + sums)


def _seconds(work: Callable[[], object]) -> float:
    os.sync()
    start = perf_counter()
    work()
    return perf_counter() - start


def _speed(folder: Path, work: Callable[[], object]) -> Figures:
    data.warm(folder)
    os.sync()  # what others left unwritten is not this contender's burden
    start = perf_counter()
    work()
    return {"megabytes_per_second": data.size_below(folder) / (perf_counter() - start) / 1e6}


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A folder on the measured disk with a path short enough for a socket in it.

    A loader that is left in the middle may still write to it.
    """
    with tempfile.TemporaryDirectory(prefix="n", dir=out.parents[3], ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _process(pid: int) -> tuple[int, int]:
    """A process's memory in bytes, and its open handles."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    memory = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
    return memory, len(list(Path(f"/proc/{pid}/fd").iterdir()))
