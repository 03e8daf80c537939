"""The manifest and the segment files of a dataset (FORMAT.md, sections 5 and 6)."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from blake3 import blake3

from bench_data.chunk_reader import ChunkRow
from bench_data.errors import DatasetNotFoundError, FormatError, NewerFormatError
from bench_data.label_tree import Tree, sorted_tree, tree_from_json, tree_to_json
from bench_data.remote import Remote
from bench_data.stored_zip import VERSION, StoredZipWriter, WrittenZip, canonical_json
from bench_data.zip_reader import PIECE_BYTES, StoredZip

MANIFEST = "dataset.json"
CHUNKS = "chunks"
NAME_DIGITS = 32

SEGMENT_COLUMNS: dict[str, tuple[str, tuple[int, ...]]] = {
    "samples": ("<u4", ()),
    "files": ("<u8", ()),
    "sizes": ("<u8", ()),
    "digests": ("|u1", (32,)),
    "headers": ("<u4", ()),
    "keys": ("|u1", (16,)),
    "rows": ("|u1", (16,)),
}
"""Each column's dtype and the shape of one row."""

PER_SAMPLE = ("keys", "rows")
"""These have one row a sample, the others one a chunk."""

Column: TypeAlias = np.ndarray[Any, Any]


def chunk_name(digest: str) -> str:
    """A chunk's path in the dataset's folder."""
    return f"{CHUNKS}/{digest[:NAME_DIGITS]}.zip"


def segment_name(digest: str) -> str:
    """A segment file's path in the dataset's folder."""
    return f"segment-{digest[:NAME_DIGITS]}.npz"


def file_digest(path: Path) -> str:
    """The BLAKE3 of a file, hex.

    It is read, not mapped: a map of a file that is cut short, or on a disk that fails, kills the process.

    Raises:
        OSError: It cannot be read.
    """
    hasher, buffer = blake3(), memoryview(bytearray(PIECE_BYTES))
    with open(path, "rb", buffering=0) as file:
        while length := file.readinto(buffer):
            hasher.update(buffer[:length])
    return hasher.hexdigest()


class Segment:
    """What a segment file says. What it says of chunks is in memory; of samples, read when asked for.

    Args:
        path: The file.

    Raises:
        FormatError: It is not one, or its columns do not fit each other.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        file = StoredZip(path, "segment.json")
        try:
            self.chunks, self.total = int(file.header["chunks"]), int(file.header["samples"])
        except (KeyError, TypeError, ValueError, OverflowError):
            raise FormatError(f"{path}, segment.json: not a segment's header") from None
        names = [name for name in SEGMENT_COLUMNS if name not in PER_SAMPLE]
        self._columns = {name: self._read(file, name).copy() for name in names}
        if int(self.samples.sum()) != self.total:
            raise FormatError(f"{path}: its counts do not agree")

    def column(self, name: str) -> Column:
        """One column of SEGMENT_COLUMNS, read-only."""
        if name in PER_SAMPLE:
            return self._read(StoredZip(self.path, "segment.json"), name)
        return self._columns[name]

    @property
    def samples(self) -> Column:
        """Samples in each chunk (C,)."""
        return self._columns["samples"]

    @cached_property
    def starts(self) -> Column:
        """The first sample of each chunk in this segment, and the total (C + 1,)."""
        return np.concatenate([[0], np.cumsum(self.samples, dtype=np.int64)])

    @cached_property
    def digests(self) -> list[str]:
        """The BLAKE3 of each chunk, hex."""
        return [row.tobytes().hex() for row in self.column("digests")]

    def _read(self, file: StoredZip, name: str) -> Column:
        if not file.has_column(name):
            raise FormatError(f"{self.path} has no column {name!r}")
        column = file.column(name)
        dtype, row = SEGMENT_COLUMNS[name]
        count = self.total if name in PER_SAMPLE else self.chunks
        if column.dtype != np.dtype(dtype) or column.shape != (count, *row):
            raise FormatError(f"{self.path}, {name}.npy: does not fit the header")
        return column


@dataclass(frozen=True)
class SegmentPart:
    """Chunks [first, last) of a segment: what a new segment is joined from."""

    segment: Segment
    first: int
    last: int

    def column(self, name: str) -> Column:
        """This part's rows of a column."""
        if name in PER_SAMPLE:
            starts = self.segment.starts
            return self.segment.column(name)[starts[self.first] : starts[self.last]]
        return self.segment.column(name)[self.first : self.last]


def write_segment(path: Path, parts: Sequence[SegmentPart]) -> WrittenZip:
    """Write a segment file joined from parts of others.

    Args:
        path: The file; replaced if it is there.
        parts: What it consists of, in order.
    """
    return write_segment_columns(path, {name: _Joined(parts, name) for name in SEGMENT_COLUMNS})


@dataclass(frozen=True)
class _Joined:
    """One column of all parts, each mapped only in its turn: there may be more than files may be open."""

    parts: Sequence[SegmentPart]
    name: str

    def __iter__(self) -> Iterator[Column]:
        return (part.column(self.name) for part in self.parts)


def write_segment_columns(path: Path, columns: Mapping[str, Iterable[Column]]) -> WrittenZip:
    """Write a segment file from arrays to be joined, per column; they are passed over more than once."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        writer = StoredZipWriter(descriptor, path)
        for name, (dtype, row) in SEGMENT_COLUMNS.items():
            count = sum(len(array) for array in columns[name])
            parts = (np.ascontiguousarray(array, dtype).tobytes() for array in columns[name])
            writer.add_column(name, dtype, (count, *row), parts)
        header = {
            "format": "bench-segment",
            "version": VERSION,
            "chunks": sum(len(array) for array in columns["samples"]),
            "samples": sum(len(array) for array in columns["keys"]),
        }
        return writer.finish("segment.json", header)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What `dataset.json` says, and the segment files that it names.

    Args:
        folder: The dataset's folder.
        tree: The structure of the labels.
        segments: The segment files, in order.
        segment_digests: Their BLAKE3, hex.
        options: `WriteOptions.layout` of the write.
        source_digest: What was read.
        source_version: What the user called it, or None.
    """

    folder: Path
    tree: Tree
    segments: tuple[Segment, ...]
    segment_digests: tuple[str, ...]
    options: dict[str, Any]
    source_digest: str
    source_version: str | None

    @property
    def samples(self) -> int:
        """Samples in the dataset."""
        return sum(segment.total for segment in self.segments)

    @cached_property
    def chunk_starts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The number of each chunk's first sample, and the total, (C + 1,)."""
        counts = [segment.samples for segment in self.segments]
        return np.concatenate([[0], np.cumsum(np.concatenate(counts), dtype=np.int64)])

    @cached_property
    def chunk_digests(self) -> list[str]:
        """The BLAKE3 of each chunk, hex."""
        return [digest for segment in self.segments for digest in segment.digests]

    @cached_property
    def chunk_sizes(self) -> list[int]:
        """Bytes of each chunk."""
        return [int(size) for segment in self.segments for size in segment.column("sizes")]

    def column(self, name: str) -> Column:
        """One of PER_SAMPLE for the whole dataset, in memory."""
        dtype, row = SEGMENT_COLUMNS[name]
        joined, at = np.empty((self.samples, *row), dtype), 0
        for segment in self.segments:
            joined[at : at + segment.total] = segment.column(name)
            at += segment.total
        return joined

    @property
    def with_files(self) -> bool:
        """Whether any sample has a file."""
        return any(bool(segment.column("files").any()) for segment in self.segments)

    def chunk_rows(self, remote: Remote | None = None) -> list[ChunkRow]:
        """Where each chunk is, what it must be, and where it can be fetched from."""
        headers = [int(crc) for segment in self.segments for crc in segment.column("headers")]
        files = zip(self.chunk_digests, self.chunk_sizes, headers, strict=True)
        return [
            ChunkRow(self.folder / chunk_name(digest), size, header, remote) for digest, size, header in files
        ]

    @cached_property
    def fingerprint(self) -> str:
        """The digest of what was written: keys the order and every cache."""
        fields = {
            "chunks": self.chunk_digests,
            "format": "bench-dataset",
            "labels": tree_to_json(sorted_tree(self.tree)),
            "samples": np.diff(self.chunk_starts).tolist(),
            "version": VERSION,
        }
        return blake3(canonical_json(fields)).hexdigest()

    def file_names(self) -> set[str]:
        """Every file that the manifest names, as paths in its folder."""
        return {chunk_name(digest) for digest in self.chunk_digests} | self.segment_names()

    def segment_names(self) -> set[str]:
        """The segment files among them."""
        return {segment_name(digest) for digest in self.segment_digests}

    def to_json(self) -> bytes:
        """The content of `dataset.json`."""
        rows = zip(self.segments, self.segment_digests, strict=True)
        fields = {
            "bytes": sum(self.chunk_sizes),
            "fingerprint": self.fingerprint,
            "format": "bench-dataset",
            "labels": tree_to_json(self.tree),
            "options": self.options,
            "samples": self.samples,
            "segments": [{"chunks": s.chunks, "digest": digest, "samples": s.total} for s, digest in rows],
            "source_digest": self.source_digest,
            "source_version": self.source_version,
            "version": VERSION,
            "with_files": self.with_files,
        }
        fields["digest"] = blake3(canonical_json(fields)).hexdigest()
        return canonical_json(fields) + b"\n"


def read_segment_digests(folder: Path) -> tuple[str, ...]:
    """The BLAKE3 of each segment file that `dataset.json` names, hex, without a look at the file.

    Raises:
        DatasetNotFoundError: There is no dataset.
        NewerFormatError: A newer release wrote it.
        FormatError: `dataset.json` is damaged.
    """
    path = folder / MANIFEST
    return _segment_digests(path, _read_json(path))


def read_manifest(folder: Path, path: Path | None = None) -> Manifest:
    """Read `dataset.json` and open the segment files.

    Args:
        folder: The dataset's folder.
        path: The manifest, where it is not yet `dataset.json` of the folder.

    Raises:
        DatasetNotFoundError: There is no dataset.
        NewerFormatError: A newer release wrote it.
        FormatError: It is damaged.
    """
    path = path or folder / MANIFEST
    fields = _read_json(path)
    digests = _segment_digests(path, fields)
    try:
        manifest = Manifest(
            folder=folder,
            tree=tree_from_json(fields["labels"]),
            segments=tuple(Segment(folder / segment_name(digest)) for digest in digests),
            segment_digests=digests,
            options=dict(fields["options"]),
            source_digest=str(fields["source_digest"]),
            source_version=fields["source_version"],
        )
        fingerprint = fields["fingerprint"]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError):
        raise FormatError(f"{path} is damaged") from None
    if manifest.fingerprint != fingerprint:
        raise FormatError(f"{path}: its fingerprint is not that of the chunks it names")
    return manifest


def _segment_digests(path: Path, fields: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        digests = tuple(segment["digest"] for segment in fields["segments"])
        if all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests):
            return digests
    except (KeyError, TypeError):
        pass
    raise FormatError(f"{path} is damaged")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_bytes())
        kind, version = fields["format"], int(fields["version"])
    except (FileNotFoundError, NotADirectoryError):
        raise DatasetNotFoundError(
            f"there is no dataset in {path.parent}",
            hint="Write it with write_chunks or process_datasets first.",
        ) from None
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        raise FormatError(f"{path} is damaged") from None
    if kind != "bench-dataset":
        raise FormatError(f"{path} is a {kind!r}, not a dataset")
    if version > VERSION:
        raise NewerFormatError(
            f"{path} has format version {version}, this release reads up to {VERSION}",
            hint="Update bench-data.",
        )
    return dict(fields)
