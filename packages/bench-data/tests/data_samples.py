"""Processors and folders of files that the tests write datasets from."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench_data import ProcessorDataset


class Files(ProcessorDataset):
    """One file a sample, labelled by its number; may be changed after it is made."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def get_file(self, item: int) -> list[str]:
        return [self.paths[item]]

    def get_label_and_numeric_data(self, item: int) -> Any:
        return int(Path(self.paths[item]).stem.split("-")[-1])


class Labels(ProcessorDataset):
    """Labels only, without a file."""

    def __init__(self, labels: Sequence[Any]) -> None:
        self.labels = list(labels)

    def __len__(self) -> int:
        return len(self.labels)

    def get_label_and_numeric_data(self, item: int) -> Any:
        return self.labels[item]


class Computed(ProcessorDataset):
    """Samples from functions, which a test may have raise."""

    def __init__(
        self, count: int, files: Callable[[int], Any] | None = None, label: Callable[[int], Any] | None = None
    ) -> None:
        self.count, self.files, self.label = count, files, label

    def __len__(self) -> int:
        return self.count

    def get_file(self, item: int) -> Any:
        return self.files(item) if self.files else []

    def get_label_and_numeric_data(self, item: int) -> Any:
        return self.label(item) if self.label else item


def content(number: int, size: int = 3000) -> bytes:
    """The bytes of file `number`: different for each, and different in size."""
    return (b"%08d " % number * (size // 9 + 1))[: size + number % 7]


def make_files(folder: Path, count: int, size: int = 3000, first: int = 0) -> list[str]:
    """Write files `file-<number>.bin` with `content`; their paths in order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"file-{number:06d}.bin" for number in range(first, first + count)]
    for number, path in enumerate(paths, first):
        path.write_bytes(content(number, size))
    return [str(path) for path in paths]


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its relative name, but for the lock."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def open_descriptors() -> set[str]:
    """What this process's descriptors point to; Linux and macOS."""
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    found = set()
    for name in os.listdir(folder):
        try:
            found.add(f"{name} {os.readlink(f'{folder}/{name}')}")
        except OSError:
            continue  # the listing's own
    return found
