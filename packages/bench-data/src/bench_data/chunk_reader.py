"""Reads one chunk: its labels, and where its files lie (FORMAT.md, section 3)."""

from collections import deque
from collections.abc import Callable, Iterator
from functools import cached_property
from os import pread
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from weakref import WeakValueDictionary

import numpy as np
from isal.isal_zlib import crc32

from bench_data.errors import CorruptChunkError, FormatError
from bench_data.label_columns import LabelColumns
from bench_data.label_tree import Tree, tree_from_json
from bench_data.open_chunks import OpenChunks
from bench_data.remote import Remote, fetch_again, open_fetched
from bench_data.stored_zip import INDEX_DTYPE, INDEX_ROW, LOCAL
from bench_data.zip_reader import PIECE_BYTES, StoredZip, ZipRanges, corrupt

_unpack_row = INDEX_ROW.unpack_from
Value = TypeVar("Value")


class ChunkRow(NamedTuple):
    """Where a chunk is, what it must be, as far as that is known, and where it can be fetched from."""

    path: Path
    size: int | None = None
    header_crc32: int | None = None
    remote: Remote | None = None


_open = OpenChunks()


class ChunkParts:
    """What is where in a chunk. Subclasses say where the chunk is, and how they read its index.

    Raises:
        FormatError: It is not a chunk.
    """

    def __init__(self) -> None:
        header = self.file.header
        try:
            self.samples = int(header["samples"])
            self.files = int(header["files"])
            self._per_sample: int | None = header["files_per_sample"]
            self.tree: Tree = tree_from_json(header["labels"])
        except (KeyError, TypeError, ValueError, OverflowError):
            raise FormatError(f"{self.file.path}, chunk.json: not a chunk's header") from None

    @property
    def file(self) -> ZipRanges:
        """The chunk's bytes."""
        raise NotImplementedError

    def file_member(self, number: int) -> tuple[int, int, int]:
        """Offset, length and CRC-32 of a file's data."""
        raise NotImplementedError

    def file_starts(self, sample: int) -> tuple[int, int]:
        """The first file of a sample and of the next one, where their number differs."""
        raise NotImplementedError

    def file_numbers(self, sample: int) -> range:
        """Which rows of the index are a sample's files."""
        each = self._per_sample
        if each is not None:
            return range(sample * each, (sample + 1) * each)
        return range(*self.file_starts(sample))

    def member_name(self, number: int) -> str:
        """A file's member name, `sample/base name`, from its local header."""
        start = 0
        if number:
            before = self.file_member(number - 1)
            start = before[0] + before[1]
        offset = self.file_member(number)[0]
        header = self.file.pread(start, offset - start) if offset - start < PIECE_BYTES else b""
        length = LOCAL.unpack_from(header)[9] if len(header) >= LOCAL.size else 0
        name = header[LOCAL.size : LOCAL.size + length]
        if not header.startswith(b"PK\3\4") or not length or len(name) < length:
            raise corrupt(self.file.path, f"local header of file {number}", start)
        return name.decode(errors="replace")

    def file_pieces(self, number: int) -> Iterator[bytes]:
        """A file's bytes piece by piece; the checksum is compared after the last one."""
        offset, length, crc = self.file_member(number)
        end, found = offset + length, 0
        while offset < end:
            piece = self.file.pread(offset, min(PIECE_BYTES, end - offset))
            if not piece:
                raise self._corrupt_file(number)
            offset, found = offset + len(piece), crc32(piece, found)
            yield piece
        if found != crc:
            raise self._corrupt_file(number)

    def _corrupt_file(self, number: int) -> CorruptChunkError:
        try:
            name = ChunkParts.member_name(self, number)
        except CorruptChunkError:
            name = f"file {number}"
        return corrupt(self.file.path, name, self.file_member(number)[0])


class Chunk(ChunkParts):
    """One chunk, which pickles as its row.

    It is closed when too many are open, and opened again when it is used: as the same, or not at all.

    Args:
        row: Where it is, and what it must be.

    Raises:
        FormatError: It is not a chunk, or not the one that was written.
    """

    def __init__(self, row: ChunkRow) -> None:
        self.row = row
        self.used = False
        self._takes_early, self._is_early = row.remote is not None, False
        super().__init__()

    def __reduce__(self) -> tuple[Any, ...]:
        return open_chunk, (self.row,)

    @cached_property
    def file(self) -> StoredZip:
        """The open file. Whoever uses it or a view of it keeps it open."""
        _open.admit(self)
        path, remote = self.row.path, self.row.remote
        if remote is None:
            return self._open(path)
        file = open_fetched(self, path, remote, self._open, takes_early=self._takes_early)
        self._is_early = file.path != path
        return file

    def _open(self, path: Path) -> StoredZip:
        return StoredZip(path, "chunk.json", size=self.row.size, header_crc32=self.row.header_crc32)

    def _mended(self, read: Callable[[], Value]) -> Value:
        """What a function reads; where it meets damage and there is a remote copy, that is read."""
        try:
            return read()
        except FormatError:
            if self.row.remote is None:
                raise
            if self._is_early:
                self._leave_early()
                return self._mended(read)
            self.close()
            fetch_again(self.row.path, self.row.remote)
            return read()

    def _leave_early(self) -> None:
        """Read the whole chunk from now on."""
        self._takes_early = self._is_early = False
        self.close()

    def close(self) -> None:
        """Let the file go, and all that is a view of it."""
        for name in ("file", "labels", "_index", "_starts"):
            self.__dict__.pop(name, None)

    @cached_property
    def labels(self) -> LabelColumns:
        """The labels, verified when first asked for."""
        return self._mended(lambda: LabelColumns(self.file, self.tree, self.samples))

    @cached_property
    def _index(self) -> memoryview:
        return self._mended(self._read_index)

    def _read_index(self) -> memoryview:
        index = self.file.column("index") if self.files else np.empty(0, INDEX_DTYPE)
        if index.dtype != INDEX_DTYPE or index.shape != (self.files,):
            raise FormatError(f"{self.file.path}, index.npy: does not fit the header")
        return index.view(np.uint8).data

    @cached_property
    def _starts(self) -> memoryview:
        return self._mended(self._read_starts)

    def _read_starts(self) -> memoryview:
        starts = self.file.column("file_starts")
        fits = starts.dtype == np.dtype("<u8") and starts.shape == (self.samples + 1,)
        if not fits or starts[0] != 0 or starts[-1] != self.files or (starts[1:] < starts[:-1]).any():
            raise FormatError(f"{self.file.path}, file_starts.npy: does not fit the header")
        return starts.data

    def file_member(self, number: int) -> tuple[int, int, int]:
        """See ChunkParts."""
        return _unpack_row(self._index, number * INDEX_ROW.size)

    def file_starts(self, sample: int) -> tuple[int, int]:
        """See ChunkParts."""
        return self._starts[sample], self._starts[sample + 1]

    def member_name(self, number: int) -> str:
        """See ChunkParts."""
        name = super().member_name
        return self._mended(lambda: name(number))

    def read_file(self, number: int) -> bytes:
        """A file's bytes, verified.

        Raises:
            CorruptChunkError: They are not those that were written.
        """
        offset, length, crc = _unpack_row(self._index, number * INDEX_ROW.size)
        file = self.file  # held: another thread may have this chunk closed
        data = pread(file.descriptor, length, offset)
        if crc32(data) == crc and len(data) == length:
            return data
        pieces = super().file_pieces  # one call gives at most 2 GiB; or it is corrupt
        return self._mended(lambda: b"".join(pieces(number)))

    def file_pieces(self, number: int) -> Iterator[bytes]:
        """See ChunkParts."""
        pieces = super().file_pieces
        if self.row.remote is not None:
            if self._takes_early:
                self._leave_early()  # pieces may be read again, and unverified
            self._mended(lambda: deque(pieces(number), maxlen=0))  # a copy half made cannot be mended
        return pieces(number)

    def view_file(self, number: int) -> memoryview:
        """A file's bytes as a read-only view of the mapped chunk, verified."""
        return self._mended(lambda: self._view(number))

    def _view(self, number: int) -> memoryview:
        offset, length, crc = self.file_member(number)
        view = memoryview(self.file.map)[offset : offset + length]
        if len(view) != length or crc32(view) != crc:
            raise self._corrupt_file(number)
        return view


_opened: WeakValueDictionary[ChunkRow, Chunk] = WeakValueDictionary()


def open_chunk(row: ChunkRow) -> Chunk:
    """The chunk of this row if something in this process holds it, else a newly opened one."""
    chunk = _opened.get(row)
    if chunk is None:
        chunk = _opened[row] = Chunk(row)
    return chunk
