"""Caches for streaming, and the agents that serve them."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from bench_data import ChunkDataset, ProcessorDataset, WriteOptions, loader, write_chunks
from bench_data.agent_connection import agent_of


class Pictures(ProcessorDataset):
    """Files of random bytes with a number each."""

    def __init__(self, folder: Path, count: int, size: int = 20_000) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(1)
        self._paths = [folder / f"{number}.bin" for number in range(count)]
        for path in self._paths:
            path.write_bytes(random.bytes(size + int(random.integers(100))))

    def __len__(self) -> int:
        return len(self._paths)

    def get_file(self, item: int) -> list[Path]:
        return [self._paths[item]]

    def get_label_and_numeric_data(self, item: int) -> Any:
        return item


def write_pictures(root: Path, name: str, count: int, chunk_bytes: int = 1 << 20) -> Path:
    options = WriteOptions(workers=1, chunk_bytes=chunk_bytes, durable=False)
    return write_chunks(Pictures(root / "source", count), name, root=root, options=options).path


class Numbered(ChunkDataset):
    """Samples as (number, checksum of the file)."""

    def __getitem__(self, item: int) -> Any:
        number, [file] = super().__getitem__(item)
        return number, sum(file.read_bytes())


def samples(dataset: Any, **options: Any) -> list[tuple[int, int]]:
    """All samples of an epoch, in its order."""
    found: list[tuple[int, int]] = []
    for numbers, sums in loader(dataset, batch_size=16, **options):
        found += zip(numbers.tolist(), sums.tolist(), strict=True)
    return found


@contextmanager
def cache_at(folder: Path) -> Iterator[Path]:
    """BENCH_CACHE_DIR is this folder; its agent is gone afterwards."""
    before = os.environ.get("BENCH_CACHE_DIR")
    os.environ["BENCH_CACHE_DIR"] = str(folder)
    try:
        yield folder
    finally:
        kill_agent(folder)
        agent_of(folder).close()
        if before is None:
            del os.environ["BENCH_CACHE_DIR"]
        else:
            os.environ["BENCH_CACHE_DIR"] = before


def agent_pid(cache: Path) -> int | None:
    """The process id of a cache's living agent."""
    try:
        pid = int((cache / "agent" / "lock").read_text())
        words = psutil.Process(pid).cmdline()
    except (OSError, ValueError, psutil.Error):
        return None
    return pid if str(cache) in words else None


def kill_agent(cache: Path, how: signal.Signals = signal.SIGKILL) -> bool:
    """Kill a cache's agent, if it lives; whether it did."""
    pid = agent_pid(cache)
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)
    wait_until(lambda: agent_pid(cache) != pid)  # a reader may start the next one at once
    return True


def wait_until(happened: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)
