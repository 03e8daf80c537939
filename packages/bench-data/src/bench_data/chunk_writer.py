"""Writes one chunk: files as they come, then the index and the labels (FORMAT.md, section 3)."""

import itertools
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench_data.errors import DataError, SourceError, WriteError
from bench_data.label_collect import LabelCollector, Piece, write_label_columns
from bench_data.label_tree import Tree, tree_to_json
from bench_data.processor import FileContent, SourceFile
from bench_data.source import (
    BATCH,
    Rows,
    SourceDigests,
    as_rows,
    at_sample,
    content_name,
    file_stat,
    path_name,
)
from bench_data.stored_zip import INDEX_DTYPE, INDEX_ROW, VERSION, StoredZipWriter, WrittenZip

OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
"""O_NONBLOCK: a named pipe given as a file is refused instead of waited for."""

LABEL_BATCH_BYTES = 4 << 20
"""Labels are packed when about this much has been collected."""


@dataclass(frozen=True, kw_only=True)
class WrittenChunk:
    """A finished chunk under its temporary name, and what its samples were made from."""

    temporary: Path
    file: WrittenZip
    samples: int
    files: int
    keys: Rows
    rows: Rows


class ChunkWriter:
    """Writes one chunk to a temporary file.

    Args:
        temporary: The file's name; must not exist.
        tree: The structure of the labels.
        early_writeback: Have the system begin to write to the disk while the chunk grows.

    Raises:
        OSError: The file cannot be created.
    """

    def __init__(self, temporary: Path, tree: Tree, *, early_writeback: bool) -> None:
        self.temporary = temporary
        self.samples = 0
        self.bytes = 0
        """About how large the chunk is so far."""
        self._tree = tree
        self._descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._zip = StoredZipWriter(self._descriptor, temporary, early_writeback=early_writeback)
        self._index = bytearray()
        self._counts: list[int] = []
        self._digests = SourceDigests()
        self._labels = LabelCollector(tree)
        self._pieces: list[list[Piece]] = []
        self._label_bytes = 0
        self._pack_at = 16

    def add(self, index: int, files: Sequence[SourceFile], label: Any) -> None:
        """Add the next sample.

        Args:
            index: Its number in the source, for messages.
            files: Its files.
            label: Its label.

        Raises:
            DataError: A file cannot be read, or the label cannot be stored. The chunk is then of no use.
        """
        path: object = None
        names, stats = b"", b""
        try:
            self._labels.append(label)
            if len(files) == 1:  # by far the most common
                path = files[0]
                names, stats = self._add_file(0, path)
            elif files:
                found = []
                for number, path in enumerate(files):
                    found.append(self._add_file(number, path))
                names, stats = (b"".join(parts) for parts in zip(*found, strict=True))
        except WriteError:
            raise
        except (DataError, OSError, ValueError, TypeError) as error:
            raise at_sample(index, error, path) from error
        self._digests.add(names, stats)
        self._counts.append(len(files))
        self.samples += 1
        if files:
            self._measure()
        if self.samples >= self._pack_at:
            self._pack()

    def finish(self) -> WrittenChunk:
        """Write what comes after the files, and close the file."""
        self._pack()
        files = len(self._index) // INDEX_ROW.size
        if files:
            self._zip.add_column("index", INDEX_DTYPE, (files,), [bytes(self._index)])
        per_sample = self._counts[0] if len(set(self._counts)) == 1 else None
        if per_sample is None:
            starts = np.fromiter(itertools.accumulate(self._counts, initial=0), "<u8", self.samples + 1)
            self._zip.add_array("file_starts", starts)
        write_label_columns(self._zip, [leaf.leaf for leaf in self._labels.leaves], self._pieces)
        header = {
            "format": "bench-chunk",
            "version": VERSION,
            "samples": self.samples,
            "files": files,
            "files_per_sample": per_sample,
            "labels": tree_to_json(self._tree),
        }
        written = self._zip.finish("chunk.json", header)
        self.close()
        return WrittenChunk(
            temporary=self.temporary,
            file=written,
            samples=self.samples,
            files=files,
            keys=as_rows(self._digests.keys),
            rows=as_rows(self._digests.rows),
        )

    def close(self) -> None:
        """Close the file, finished or not."""
        descriptor, self._descriptor = self._descriptor, -1  # first: Ctrl-C may come between any two steps
        if descriptor >= 0:
            os.close(descriptor)

    def _add_file(self, number: int, file: SourceFile) -> tuple[bytes, bytes]:
        prefix = f"{self.samples}.{number}/" if number else f"{self.samples}/"
        if isinstance(file, FileContent):
            member = self._zip.add_parts(prefix.encode() + file.name.encode(errors="replace"), [file.data])
            self._index += INDEX_ROW.pack(*member)
            return content_name(file), file_stat(len(file.data), 0)
        source = os.open(file, OPEN_FLAGS)
        try:
            found = os.fstat(source)
            if not stat.S_ISREG(found.st_mode):
                raise SourceError("not a file", hint="get_file must return paths of files, not of folders.")
            member = self._zip.add_file(prefix.encode() + _base_name(file), source, found.st_size)
        finally:
            os.close(source)
        self._index += INDEX_ROW.pack(*member)
        return path_name(file), file_stat(found.st_size, found.st_mtime_ns)

    def _pack(self) -> None:
        pieces, digests = self._labels.take(self._digests.pending)
        self._digests.take(digests)
        packed = sum(len(piece.data) for piece in pieces)
        if digests:
            self._pieces.append(pieces)
            each = max(1, packed // len(digests))
            self._pack_at = self.samples + max(1, min(BATCH, LABEL_BATCH_BYTES // each))
        self._label_bytes += packed
        self._measure()

    def _measure(self) -> None:
        self.bytes = self._zip.offset + len(self._index) + self._label_bytes


def _base_name(path: str | os.PathLike[str]) -> bytes:
    base = os.fspath(path).rpartition(os.sep)[2]
    try:
        return base.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8
        return os.fsencode(base).decode(errors="replace").encode()
