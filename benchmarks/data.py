"""The data that everything is measured on: made once per folder, the same bytes for the same seed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

SEED = 20_240_601
CLASSES = 100
ROW_WIDTH = 32

# The files stand for JPEGs: a JPEG's first and last bytes around random ones, which do not compress either.
# Encoding real pictures would take longer than the whole run, and nothing here decodes them.
HEADER = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
TRAILER = b"\xff\xd9"

Sample = tuple[str, int]


def files(cache: Path, count: int, mean_bytes: int) -> Path:
    """A folder of one folder per class, with files of a log-normal spread of sizes around the mean."""

    def make(folder: Path) -> None:
        random = np.random.default_rng(SEED)
        spread = random.lognormal(0, 0.4, count)
        sizes = np.maximum(spread * (mean_bytes / spread.mean()), 256).astype(int)
        labels = random.integers(CLASSES, size=count)
        for label in range(CLASSES):
            (folder / f"class_{label:03}").mkdir()
        for number, (size, label) in enumerate(zip(sizes.tolist(), labels.tolist(), strict=True)):
            body = random.bytes(size - len(HEADER) - len(TRAILER))
            path = folder / f"class_{label:03}" / f"{number:06}.jpg"
            path.write_bytes(HEADER + body + TRAILER)

    return _once(cache / f"files-{count}-of-{mean_bytes}", make)


def rows(cache: Path, count: int) -> Path:
    """A folder with `x.npy` (count, 32) float32 and `y.npy` (count,) int64."""

    def make(folder: Path) -> None:
        random = np.random.default_rng(SEED)
        np.save(folder / "x.npy", random.random((count, ROW_WIDTH), dtype=np.float32))
        np.save(folder / "y.npy", random.integers(CLASSES, size=count))

    return _once(cache / f"rows-{count}", make)


def counter(cache: Path, count: int) -> Path:
    """A folder that holds the number of samples of a dataset whose labels are computed."""

    def make(folder: Path) -> None:
        (folder / "count").write_text(str(count))

    return _once(cache / f"counter-{count}", make)


def read_count(folder: Path) -> int:
    return int((folder / "count").read_text())


def samples(folder: Path) -> list[Sample]:
    """Path and class of each file below a folder of `files`, in sorted order."""
    classes = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir())
    return [
        (f"{path}/{name}", label) for label, path in enumerate(classes) for name in sorted(os.listdir(path))
    ]


def size_below(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def warm(folder: Path) -> None:
    """Bring all files below a folder into the page cache."""
    buffer = bytearray(1 << 20)
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass


def _once(folder: Path, make: Callable[[Path], None]) -> Path:
    if not folder.exists():
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        make(partial)
        partial.rename(folder)
    return folder
