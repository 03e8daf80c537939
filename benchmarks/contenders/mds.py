"""MosaicML Streaming."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from streaming import MDSWriter, StreamingDataset
from streaming.base.util import clean_stale_shared_memory, merge_index
from torch.utils.data import DataLoader, IterableDataset

from benchmarks.contenders import BATCH, WORKERS
from benchmarks.contenders.processes import halves, settle, write_halves
from benchmarks.contenders.touch import byte_toucher
from benchmarks.data import ROW_WIDTH, Sample, samples
from benchmarks.servers import s3_server

FILE_COLUMNS = {"image": "bytes", "label": "int"}
ROW_COLUMNS = {"x": f"ndarray:float32:{ROW_WIDTH}", "y": "int"}


def write(source: Path, out: Path, durable: bool) -> None:
    all_samples = samples(source)
    write_halves(_write_files, [[all_samples[i] for i in half] for half in halves(len(all_samples))], out)
    merge_index(str(out), keep_local=True)
    settle(durable)


def label_write(source: Path, out: Path) -> None:
    x, y = np.load(source / "x.npy"), np.load(source / "y.npy")
    write_halves(
        _write_rows, [(x[half.start : half.stop], y[half.start : half.stop]) for half in halves(len(x))], out
    )
    merge_index(str(out), keep_local=True)


def epoch(source: Path, out: Path, through_path: bool) -> Iterable[tuple[Any, Any]]:
    return DataLoader(
        _Touched(_open(out, shuffle=True), byte_toucher(through_path)), BATCH, num_workers=WORKERS
    )


@contextmanager
def open_stream(folder: Path, scratch: Path) -> Iterator[Callable[[], Iterable[tuple[Any, Any]]]]:
    """Epochs from `rclone serve s3`, each over the same cache, empty before the first."""
    with s3_server(folder.parent):

        def epoch() -> Iterable[tuple[Any, Any]]:
            clean_stale_shared_memory()
            remote, local = f"s3://{folder.name}", str(scratch / "cache")
            dataset = StreamingDataset(remote=remote, local=local, shuffle=True, batch_size=BATCH)
            for part in dataset.streams:  # else forked workers share its connection, and mix up what comes
                part._downloader.clean_up()
            return DataLoader(_Touched(dataset, byte_toucher(False)), BATCH, num_workers=WORKERS)

        yield epoch


def fetcher(out: Path) -> Callable[[list[int]], None]:
    dataset = _open(out, shuffle=False)

    def fetch(indices: list[int]) -> None:
        for index in indices:
            dataset[index]["image"]

    return fetch


class _Touched(IterableDataset[tuple[int, int]]):
    def __init__(self, dataset: StreamingDataset, touch: Callable[[bytes], int]) -> None:
        self._dataset = dataset
        self._touch = touch

    def __iter__(self) -> Any:
        for sample in self._dataset:
            yield sample["label"], self._touch(sample["image"])


def _open(out: Path, shuffle: bool) -> StreamingDataset:
    clean_stale_shared_memory()
    return StreamingDataset(local=str(out), shuffle=shuffle, batch_size=BATCH)


def _write_files(part: int, part_samples: list[Sample], out: Path) -> None:
    with MDSWriter(out=f"{out}/{part}", columns=FILE_COLUMNS) as writer:
        for path, label in part_samples:
            with open(path, "rb") as file:
                writer.write({"image": file.read(), "label": label})


def _write_rows(part: int, columns: Any, out: Path) -> None:
    with MDSWriter(out=f"{out}/{part}", columns=ROW_COLUMNS) as writer:
        for x, y in zip(columns[0], columns[1].tolist(), strict=True):
            writer.write({"x": x, "y": y})
