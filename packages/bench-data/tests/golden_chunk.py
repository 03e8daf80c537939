"""The chunk whose bytes are kept in golden/chunk-1.zip. Run this file to make it anew, on purpose."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from bench_data import FileContent, FreeForm, WriteOptions, write_chunks
from data_samples import Computed

PATH = Path(__file__).parent / "golden" / "chunk-1.zip"

FILES = [
    [FileContent("cat.txt", b"meow")],
    [FileContent("Bär.txt", b"brumm"), FileContent("empty", b"")],
    [],
]


def label(number: int) -> Any:
    """A label with a leaf of each way to store it."""
    ragged = np.arange(2 * number, dtype="<f4").reshape(2, number)
    plain = {"class": number, "name": "ä" * number, "score": number / 8, "kept": None, 1: number == 1}
    free = FreeForm([number, {"x": (b"\0" * number, ragged)}] if number else None)
    return (plain, ragged, np.array([number, -number], ">i2"), free)


def make(root: Path) -> bytes:
    """Write it below a folder."""
    options = WriteOptions(workers=1, order="source", durable=False)
    write_chunks(Computed(len(FILES), lambda number: FILES[number], label), "golden", root, options)
    (path,) = (root / "golden" / "chunks").iterdir()
    return path.read_bytes()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        PATH.write_bytes(make(Path(folder)))
