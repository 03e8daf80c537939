"""Single samples of a chunk by ranges: the same files, and labels as far as they can be looked at."""

import os
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bench_data import FileContent, FreeForm, ProcessorDataset, WriteOptions, write_chunks
from bench_data.chunk_ranges import ChunkRanges
from bench_data.chunk_reader import open_chunk
from bench_data.errors import FormatError
from bench_data.glimpse import MAX_PARTS, MORE, Glimpse, glimpse_of
from bench_data.manifest import read_manifest
from bench_data.zip_reader import ZipRanges

Point = namedtuple("Point", "x y")


class Counted(ZipRanges):
    """A file's ranges, and how many bytes were asked for."""

    def __init__(self, path: Path) -> None:
        self._content, self.read = path.read_bytes(), 0
        super().__init__(path, len(self._content), "chunk.json")

    def pread(self, offset: int, length: int) -> bytes:
        self.read += length
        return self._content[offset : offset + length]


class Given(ProcessorDataset):
    def __init__(self, labels: list[Any], files: list[list[FileContent]]) -> None:
        self._labels, self._files = labels, files

    def __len__(self) -> int:
        return len(self._labels)

    def get_label_and_numeric_data(self, item: int) -> Any:
        return self._labels[item]

    def get_file(self, item: int) -> list[FileContent]:
        return self._files[item]


def chunk_of(root: Path, labels: list[Any], files: list[list[FileContent]] | None = None) -> ChunkRanges:
    options = WriteOptions(order="source", workers=1, durable=False)
    written = write_chunks(Given(labels, files or [[] for _ in labels]), "d", root, options)
    row = read_manifest(written.path).chunk_rows()[0]
    return ChunkRanges(Counted(row.path))


def leaf(kind: str, text: str) -> Glimpse:
    return Glimpse(kind, text)


def test_labels_of_every_kind(tmp_path: Path) -> None:
    def label(number: int) -> dict[str, Any]:
        return {
            "int": number,
            "float": number + 0.5,
            "bool": True,
            "complex": 1j,
            "none": None,
            "str": "ü" * number,
            "bytes": bytes(range(20)),
            "scalar": np.float32(0.3),
            "fixed": np.arange(4, dtype=np.int16).reshape(2, 2) + number,
            "ragged": np.arange(number, dtype="<f4"),
            "ragged 2": np.ones((number, 3), bool),
            "large": np.arange(100),
            "tensor": torch.tensor([0.25, float(number)]),
            "bits": torch.zeros(3, dtype=torch.bfloat16),
            "point": Point(1, [2]),
            "free": FreeForm([{"box": np.zeros(2), "t": torch.ones(1), "b": torch.ones(1).bfloat16()}]),
        }

    chunk = chunk_of(tmp_path, [label(number) for number in range(3)])
    assert dict(chunk.label(2).items) == {
        "int": leaf("int", "2"),
        "float": leaf("float", "2.5"),
        "bool": leaf("bool", "True"),
        "complex": leaf("complex", "1j"),
        "none": leaf("none", "None"),
        "str": leaf("str", "üü"),
        "bytes": leaf("bytes (20)", "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f …"),
        "scalar": leaf("<f4", "0.3"),
        "fixed": leaf("int16 (2, 2)", "2, 3, 4, 5"),
        "ragged": leaf("float32 (2,)", "0.0, 1.0"),
        "ragged 2": leaf("bool (2, 3)", "True, True, True, True, True, True"),
        "large": leaf("int64 (100,)", "0, 1, 2, 3, 4, 5, 6, 7, …"),
        "tensor": leaf("float32 (2,)", "0.25, 2.0"),
        "bits": leaf("bfloat16 (3,)", ""),
        "point": Glimpse(
            "Point",
            items=(("x", leaf("int", "1")), ("y", Glimpse("list", items=(("0", leaf("int", "2")),)))),
        ),
        "free": Glimpse(
            "list",
            items=(
                (
                    "0",
                    Glimpse(
                        "dict",
                        items=(
                            ("box", leaf("float64 (2,)", "0.0, 0.0")),
                            ("t", leaf("float32 (1,)", "1.0")),
                            ("b", leaf("bfloat16 (1,)", "")),
                        ),
                    ),
                ),
            ),
        ),
    }


@pytest.mark.parametrize("counts", [[1, 1, 1], [2, 0, 3]])
def test_files_are_those_of_the_chunk(tmp_path: Path, counts: list[int]) -> None:
    files = [
        [FileContent(f"{number}-{place}.bin", os.urandom(1000 * place + 7)) for place in range(count)]
        for number, count in enumerate(counts)
    ]
    chunk = chunk_of(tmp_path, [0, 1, 2], files)
    whole = open_chunk(read_manifest(tmp_path / "d").chunk_rows()[0])
    for sample, expected in enumerate(files):
        numbers = chunk.file_numbers(sample)
        assert numbers == whole.file_numbers(sample)
        assert [chunk.member_name(number).partition("/")[2] for number in numbers] == [
            f.name for f in expected
        ]
        assert [b"".join(chunk.file_pieces(number)) for number in numbers] == [f.data for f in expected]
        assert [chunk.file_beginning(number, 5) for number in numbers] == [f.data[:5] for f in expected]


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    rows = 4_000_000
    chunk = chunk_of(tmp_path, [np.ones(rows)])
    assert chunk.label(0) == leaf(f"float64 ({rows},)", "1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, …")
    assert isinstance(chunk.file, Counted)
    assert chunk.file.read < 200_000


def test_nothing_that_a_label_names_is_imported(tmp_path: Path) -> None:
    made = namedtuple("made", "x")
    made.__module__ = "antigravity_of_a_stranger"
    (tmp_path / "antigravity_of_a_stranger.py").write_text("raise SystemExit")
    sys.path.insert(0, str(tmp_path))
    try:
        assert chunk_of(tmp_path, [made(1)]).label(0) == Glimpse("made", items=(("x", leaf("int", "1")),))
    finally:
        sys.path.remove(str(tmp_path))


def test_samples_and_columns_that_are_not_there(tmp_path: Path) -> None:
    chunk = chunk_of(tmp_path, [1, 2], [[FileContent("a", b"1")], [FileContent("b", b"2")]])
    for wrong in (-1, 2, 1 << 70):
        with pytest.raises(FormatError):
            chunk.label(wrong)
        with pytest.raises(FormatError):
            chunk.file_member(wrong)
    with pytest.raises(FormatError, match="no column"):
        chunk.file.column_range("labels/7")


def test_much_is_cut_short(tmp_path: Path) -> None:
    wide = chunk_of(tmp_path, [list(range(150))]).label(0)
    assert (len(wide.items), wide.items[-1]) == (MAX_PARTS + 1, MORE)
    deep: Any = 1
    for _ in range(20):
        deep = [deep]
    found = chunk_of(tmp_path / "deep", [(deep, 5)]).label(0)
    assert found.items[1] == ("1", leaf("int", "5"))
    long = chunk_of(tmp_path / "long", ["x" * 10_000]).label(0)
    assert long == leaf("str", "x" * 300 + "…")
    free = chunk_of(tmp_path / "free", [FreeForm("x" * 70_000)]).label(0)
    assert free.text == "not shown"
    assert glimpse_of([[[[[[[[[1]]]]]]]]]).kind == "list"
