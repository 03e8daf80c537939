"""Writes small datasets and looks at what is on the disk."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench_data import ChunkDataset, ProcessorDataset, WriteOptions, verify, write_chunks
from bench_data.info import WriteInfo
from data_samples import Files

OPTIONS = WriteOptions(workers=1, chunk_bytes=40 << 10, durable=False)
"""About twelve samples a chunk."""


def write(processor: ProcessorDataset, name: str = "train", **changed: Any) -> WriteInfo:
    return write_chunks(processor, name, "out", replace(OPTIONS, **changed))


def inodes(name: str = "train") -> dict[str, tuple[int, int]]:
    """Every file of a dataset, and what would change if it was written again."""
    folder = Path("out", name)
    files = [path for path in folder.rglob("*") if path.is_file()]
    stats = {path.relative_to(folder).as_posix(): path.stat() for path in files}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items() if name != ".lock"}


def chunks(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name.startswith("chunks/")}


def check(processor: Files, name: str = "train") -> list[Any]:
    """Every sample is there once, with its file, and nothing else is on the disk; the labels as stored."""
    dataset = ChunkDataset(name, "out")
    samples = [dataset[item] for item in range(len(dataset))]
    found = sorted((file.name, file.read_bytes(), label) for label, (file,) in samples)
    numbers = range(len(processor))
    paths = [Path(processor.get_file(item)[0]) for item in numbers]
    labels = map(processor.get_label_and_numeric_data, numbers)
    assert found == sorted(
        (path.name, path.read_bytes(), label) for path, label in zip(paths, labels, strict=True)
    )
    assert verify(Path("out", name)).ok
    segments = [file for file in inodes(name) if file.startswith("segment-")]
    expected = dataset.info.chunks + dataset.info.segments + 1
    assert (len(inodes(name)), len(segments)) == (expected, dataset.info.segments)
    assert sorted(os.listdir(Path("out", name))) == [".lock", "chunks", "dataset.json", *sorted(segments)]
    return [label for label, _ in samples]
