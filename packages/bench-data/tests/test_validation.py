"""A dataset that somebody made to do harm is refused: whatever it says must be borne out by its bytes."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_data import ProcessorDataset, WriteOptions, records, write_chunks
from bench_data.chunk_reader import Chunk
from bench_data.errors import FormatError
from bench_data.label_tree import tree_from_json
from bench_data.manifest import (
    MANIFEST,
    Manifest,
    Segment,
    chunk_name,
    segment_name,
    write_segment_columns,
)
from bench_data.stored_zip import INDEX_DTYPE, Member, StoredZipWriter, canonical_json
from bench_data.validation import check_chunks, read_checked_manifest
from blake3 import blake3

TREE: dict[str, Any] = {"kind": "int"}


class Forgery:
    """A dataset of one chunk with two samples of one file each; each part can be told to lie."""

    def __init__(self) -> None:
        self.names = [b"0/a", b"1/b"]
        self.data = [b"first", b"second"]
        self.index: Callable[[list[Member]], Any] = lambda members: np.array(members, INDEX_DTYPE)
        self.columns: dict[str, np.ndarray[Any, Any]] = {"labels/0": np.array([7, 8], "<i8")}
        self.header: dict[str, Any] = {
            "format": "bench-chunk",
            "version": 1,
            "samples": 2,
            "files": 2,
            "files_per_sample": 1,
            "labels": TREE,
        }
        self.segment: dict[str, Any] = {"samples": 2, "files": 2, "rows": 2}
        self.tree = TREE
        self.mutate: Callable[[bytes], bytes] = lambda data: data
        self.manifest: Callable[[dict[str, Any]], None] = lambda fields: None

    def write(self, folder: Path) -> Path:
        (folder / "chunks").mkdir(parents=True)
        path = folder / "chunk"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        writer = StoredZipWriter(descriptor)
        members = [writer.add_parts(name, [data]) for name, data in zip(self.names, self.data, strict=True)]
        writer.add_array("index", self.index(members))
        for name, column in self.columns.items():
            writer.add_array(name, column)
        written = writer.finish("chunk.json", self.header)
        os.close(descriptor)
        data = self.mutate(path.read_bytes())
        digest = blake3(data).digest()
        (folder / chunk_name(digest.hex())).write_bytes(data)
        path.unlink()
        count = self.segment["rows"]
        columns = {
            "samples": [np.array([self.segment["samples"]], "<u4")],
            "files": [np.array([self.segment["files"]], "<u8")],
            "sizes": [np.array([len(data)], "<u8")],
            "digests": [np.frombuffer(digest, np.uint8).reshape(1, 32)],
            "headers": [np.array([written.header_crc32], "<u4")],
            "keys": [np.zeros((count, 16), np.uint8)],
            "rows": [np.zeros((count, 16), np.uint8)],
        }
        made = write_segment_columns(folder / "segment", columns)
        (folder / "segment").rename(folder / segment_name(made.digest.hex()))
        manifest = Manifest(
            folder=folder,
            tree=tree_from_json(self.tree),
            segments=(Segment(folder / segment_name(made.digest.hex())),),
            segment_digests=(made.digest.hex(),),
            options={"chunk_bytes": 1 << 20, "order": "source", "seed": 0},
            source_digest="0" * 64,
            source_version=None,
        )
        fields = json.loads(manifest.to_json())
        self.manifest(fields)
        (folder / MANIFEST).write_bytes(canonical_json(fields) + b"\n")
        return folder


def check(folder: Path) -> None:
    check_chunks(read_checked_manifest(folder))


def test_an_honest_one_passes(tmp_path: Path) -> None:
    check(Forgery().write(tmp_path))


def forged(change: Callable[[Forgery], None]) -> Forgery:
    forgery = Forgery()
    change(forgery)
    return forgery


def header(**fields: Any) -> Callable[[Forgery], None]:
    return lambda forgery: forgery.header.update(fields)


def names(first: bytes, second: bytes = b"1/b") -> Callable[[Forgery], None]:
    return lambda forgery: setattr(forgery, "names", [first, second])


def rows(change: Callable[[Any], None]) -> Callable[[Forgery], None]:
    def index(members: list[Member]) -> Any:
        array = np.array(members, INDEX_DTYPE)
        change(array)
        return array

    return lambda forgery: setattr(forgery, "index", index)


def put(row: int, field: str, value: int) -> Callable[[Any], None]:
    def change(array: Any) -> None:
        array[field][row] = value

    return change


def overlap(array: Any) -> None:
    array[1] = array[0]


def swap(array: Any) -> None:
    array[:] = array[::-1].copy()


def column(name: str, values: Any) -> Callable[[Forgery], None]:
    return lambda forgery: forgery.columns.update({name: np.asarray(values)})


def insert(at: int, data: bytes) -> Callable[[Forgery], None]:
    return lambda forgery: setattr(forgery, "mutate", lambda found: found[:at] + data + found[at:])


def everywhere(tree: Any) -> Callable[[Forgery], None]:
    def change(forgery: Forgery) -> None:
        forgery.header["labels"] = forgery.tree = tree

    return change


HARM: dict[str, Callable[[Forgery], None]] = {
    "a name that climbs": names(b"../a"),
    "a name that climbs later": names(b"0/../a"),
    "the parent's name": names(b"0/.."),
    "no name": names(b"0/"),
    "a folder in a name": names(b"0/a/b"),
    "an absolute name": names(b"/etc/passwd"),
    "a zero byte in a name": names(b"0/a\0b"),
    "a name of another sample": names(b"5/a"),
    "a name twice": names(b"0/a", b"0/a"),
    "a name of a further file": names(b"0.1/a"),
    "files that overlap": rows(overlap),
    "files in another order": rows(swap),
    "a file beyond the end": rows(put(1, "offset", 1 << 40)),
    "a file at the end of all": rows(put(1, "offset", (1 << 64) - 1)),
    "a file longer than the chunk": rows(put(1, "length", 1 << 40)),
    "a file longer than all": rows(put(0, "length", (1 << 64) - 1)),
    "a file that takes in the next": rows(put(0, "length", 60)),
    "a file cut short": rows(put(0, "length", 3)),
    "a wrong checksum": rows(put(0, "crc32", 1)),
    "absurdly many samples": header(samples=1 << 60),
    "no samples": header(samples=0),
    "negative samples": header(samples=-1),
    "infinite samples": header(samples="1" * 5000),
    "absurdly many files": header(files=1 << 60),
    "fewer files than there are": header(files=1),
    "negative files": header(files=-1),
    "absurdly many files a sample": header(files_per_sample=1 << 60),
    "more files a sample": header(files_per_sample=2),
    "another label tree": header(labels={"kind": "float"}),
    "no label tree": header(labels={"kind": "pickle"}),
    "another format": header(format="bench-segment"),
    "an unknown column": column("labels/1", [1, 2]),
    "too few labels": column("labels/0", np.array([7], "<i8")),
    "labels of another dtype": column("labels/0", np.array([7, 8], "<f8")),
    "an index of another dtype": lambda forgery: setattr(forgery, "index", lambda _: np.zeros(2, "<u8")),
    "bytes before all": insert(0, b"x" * 64),
    "bytes between members": insert(38, b"x"),
    "bytes after all": lambda forgery: setattr(forgery, "mutate", lambda found: found + b"x"),
    "absurd counts in the segment too": lambda forgery: forgery.segment.update(samples=(1 << 32) - 1),
    "a count of files that is another": lambda forgery: forgery.segment.update(files=3),
    "fewer rows than samples": lambda forgery: forgery.segment.update(rows=1),
    "a sum that is another": lambda forgery: setattr(forgery, "manifest", lambda f: f.update(samples=3)),
    "a field more": lambda forgery: setattr(forgery, "manifest", lambda f: f.update(more=1)),
    "a segment twice": lambda forgery: setattr(
        forgery, "manifest", lambda f: f.update(segments=f["segments"] * 2)
    ),
    "a segment elsewhere": lambda forgery: setattr(
        forgery, "manifest", lambda f: f["segments"][0].update(digest="../../../etc/passwd")
    ),
}


@pytest.mark.parametrize("change", list(HARM.values()), ids=list(HARM))
def test_harm_is_refused(tmp_path: Path, change: Callable[[Forgery], None]) -> None:
    forgery = forged(change)
    with pytest.raises(FormatError) as caught:
        check(forgery.write(tmp_path))
    assert len(str(caught.value)) < 1000


TREES: dict[str, Any] = {
    "a dict with an unhashable key": {"kind": "dict", "keys": [[1]], "items": [TREE]},
    "a dict with a key twice": {"kind": "dict", "keys": ["a", "a"], "items": [TREE, TREE]},
    "a named tuple with a field that is code": {
        "kind": "namedtuple",
        "type": "m:Box",
        "fields": ["a;import os"],
        "items": [TREE],
    },
    "a named tuple with a field twice": {
        "kind": "namedtuple",
        "type": "m:Box",
        "fields": ["a", "a"],
        "items": [TREE, TREE],
    },
    "a named tuple whose name is none": {
        "kind": "namedtuple",
        "type": "m:1",
        "fields": ["a"],
        "items": [TREE],
    },
    "a named tuple without a type": {"kind": "namedtuple", "fields": ["a"], "items": [TREE]},
    "objects": {"kind": "array", "dtype": "|O", "ndim": 1},
    "objects inside": {"kind": "array", "dtype": [["a", "|O"]], "ndim": 1},
    "a dtype that is code": {"kind": "array", "dtype": "[__import__('os')]", "ndim": 1},
    "a number": 5,
    "nothing": None,
}


@pytest.mark.parametrize("tree", list(TREES.values()), ids=list(TREES))
def test_trees_that_are_none(tree: Any) -> None:
    with pytest.raises(FormatError, match="not a label tree"):
        tree_from_json(tree)


def test_a_tree_without_end() -> None:
    tree: Any = TREE
    for _ in range(5000):
        tree = {"kind": "list", "items": [tree]}
    with pytest.raises(FormatError, match="not a label tree"):
        tree_from_json(tree)


def test_no_module_is_imported_because_a_dataset_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "innocent.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    tree = {"kind": "namedtuple", "type": "innocent:Box", "fields": ["a"], "items": [TREE]}
    check(forged(everywhere(tree)).write(tmp_path / "out"))
    assert "innocent" not in sys.modules


def flipped(at: int) -> Callable[[Forgery], None]:
    def flip(found: bytes) -> bytes:
        return found[:at] + bytes([found[at] ^ 1]) + found[at + 1 :]

    return lambda forgery: setattr(forgery, "mutate", flip)


def test_every_byte_but_those_of_files_is_checked(tmp_path: Path) -> None:
    folder = Forgery().write(tmp_path / "whole")
    manifest = read_checked_manifest(folder)
    [row] = manifest.chunk_rows()
    chunk = Chunk(row)
    members = [chunk.file_member(number) for number in range(chunk.files)]
    in_files = {at for offset, length, _ in members for at in range(offset, offset + length)}
    for at in sorted(set(range(chunk.file.size)) - in_files):
        with pytest.raises(FormatError):
            check(forged(flipped(at)).write(tmp_path / str(at)))
    for at in in_files:
        check(forged(flipped(at)).write(tmp_path / str(at)))


class NamedFiles(ProcessorDataset):
    """Some samples have no file, some several, and some names are not ASCII."""

    def __init__(self, folder: Path) -> None:
        self._paths = [folder / name for name in ("a", "ä.jpg", "x" * 200, "猫", "b")]
        for number, path in enumerate(self._paths):
            path.write_bytes(bytes(number))

    def __len__(self) -> int:
        return 5

    def get_file(self, item: int) -> list[str]:
        return [str(path) for path in self._paths[: item % 4]]

    def get_label_and_numeric_data(self, item: int) -> int:
        return item


@pytest.mark.parametrize("chunk_bytes", [1 << 10, 1 << 20])
def test_all_kinds_of_names_pass(tmp_path: Path, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    options = WriteOptions(workers=1, chunk_bytes=chunk_bytes)
    folder = write_chunks(NamedFiles(tmp_path), "train", root=tmp_path / "out", options=options).path
    check(folder)
    monkeypatch.setattr(records, "MAX32", 0)  # as for chunks of 4 GiB
    check(folder)
