"""bench-data."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from bench_data import ChunkDataset, ProcessorDataset, WriteOptions, loader, write_chunks

from benchmarks.contenders import BATCH, WORKERS
from benchmarks.contenders.touch import touch, touch_path
from benchmarks.data import read_count, samples

NAME = "train"
Touched = tuple[int, int]


def write(source: Path, out: Path, durable: bool) -> None:
    _write(Files(source), out, durable)


def label_write(source: Path, out: Path) -> None:
    _write(Rows(source), out, durable=False)


def counter_write(source: Path, out: Path) -> None:
    _write(Counter(source), out, durable=False)


def epoch(source: Path, out: Path, through_path: bool) -> Iterable[tuple[Any, Any]]:
    dataset = (TouchedPaths if through_path else TouchedBytes)(NAME, root=out)
    batches: Iterable[tuple[Any, Any]] = loader(
        dataset, batch_size=BATCH, shuffle="exact", num_workers=WORKERS
    )
    return batches


def fetcher(out: Path) -> Callable[[list[int]], None]:
    dataset = open_dataset(out)

    def fetch(indices: list[int]) -> None:
        for _, files in dataset.__getitems__(indices):
            for file in files:
                file.read_bytes()

    return fetch


def open_dataset(out: Path) -> ChunkDataset:
    return ChunkDataset(NAME, root=out)


def first_batch(out: Path) -> Any:
    return next(iter(loader(open_dataset(out), batch_size=BATCH, shuffle="exact")))


def __getattr__(name: str) -> Any:
    """What it does with a server; only the works that need one import gRPC."""
    from benchmarks.contenders import bench_server_and_agent

    return getattr(bench_server_and_agent, name)


class Files(ProcessorDataset):
    """Files and their classes."""

    def __init__(self, source: Path) -> None:
        self._samples = samples(source)

    def __len__(self) -> int:
        return len(self._samples)

    def get_file(self, item: int) -> list[str]:
        return [self._samples[item][0]]

    def get_label_and_numeric_data(self, item: int) -> int:
        return self._samples[item][1]


class Rows(ProcessorDataset):
    """Label-only rows of 32 float32 and a class; each process loads the arrays itself."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._load()

    def __len__(self) -> int:
        return len(self._x)

    def get_label_and_numeric_data(self, item: int) -> tuple[Any, int]:
        return self._x[item], self._y[item]

    def __getstate__(self) -> Path:
        return self._source

    def __setstate__(self, source: Path) -> None:
        self._source = source
        self._load()

    def _load(self) -> None:
        self._x = np.load(self._source / "x.npy")
        self._y: list[int] = np.load(self._source / "y.npy").tolist()


class Counter(ProcessorDataset):
    """Label-only samples of an int and three floats, computed from the index."""

    def __init__(self, source: Path) -> None:
        self._count = read_count(source)

    def __len__(self) -> int:
        return self._count

    def get_label_and_numeric_data(self, item: int) -> tuple[int, float, float, float]:
        return item, item * 0.25, item * 0.5, item * 0.75


class TouchedBytes(ChunkDataset):
    """Touches a sample's bytes."""

    def __getitem__(self, index: int) -> Touched:
        label, (file,) = super().__getitem__(index)
        return label, touch(file.read_bytes())


class TouchedPaths(ChunkDataset):
    """Touches a sample's bytes through its path."""

    def __getitem__(self, index: int) -> Touched:
        label, (file,) = super().__getitem__(index)
        return label, touch_path(file)


def _write(processor: ProcessorDataset, out: Path, durable: bool) -> None:
    write_chunks(processor, NAME, root=out, options=WriteOptions(workers=WORKERS, durable=durable))
