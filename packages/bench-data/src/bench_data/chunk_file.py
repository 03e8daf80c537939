"""A file of a sample, as the user sees it."""

import io
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

from bench_data.chunk_reader import Chunk
from bench_data.temporary_files import TemporaryCopy

WHOLE_BYTES = 16 << 20
"""Files up to this size are read at once by `open`; larger ones as a stream."""


class ChunkFile:
    """A file that lies in a chunk.

    It is path-like: whatever takes a path (`Image.open(f)`, `open(f)`, `cv2.imread(os.fspath(f))`) sees a
    real file with the file's own name, which appears when it is first asked for and is removed with this
    object. Where bytes will do, `read_bytes`, `open` and `view` are faster. It pickles as a reference to the
    chunk.

    Every way of reading verifies the checksum and raises `CorruptChunkError` if it does not match.
    """

    __slots__ = ("__weakref__", "_chunk", "_copy", "_number")

    def __init__(self, chunk: Chunk, number: int) -> None:
        self._chunk = chunk
        self._number = number
        self._copy: TemporaryCopy | None = None

    @property
    def name(self) -> str:
        """The base name that the file had in its source folder."""
        return self._chunk.member_name(self._number).partition("/")[2]

    @property
    def size(self) -> int:
        """Bytes."""
        return self._chunk.file_member(self._number)[1]

    def read_bytes(self) -> bytes:
        """The file's content."""
        return self._chunk.read_file(self._number)

    def view(self) -> memoryview:
        """The file's content without a copy: a read-only view of the mapped chunk."""
        return self._chunk.view_file(self._number)

    def open(self) -> BinaryIO:
        """The file's content as a seekable binary file."""
        if self.size <= WHOLE_BYTES:
            return io.BytesIO(self.read_bytes())
        for _ in self._pieces():
            pass  # verified before the first byte is handed out
        return io.BufferedReader(_Slice(self._chunk, self._number))

    def __fspath__(self) -> str:
        if self._copy is None:
            self._copy = TemporaryCopy(self.name, self._pieces())
        return self._copy.path

    def __reduce__(self) -> tuple[Any, ...]:
        return ChunkFile, (self._chunk, self._number)

    def __repr__(self) -> str:
        return f"ChunkFile({self.name!r}, {self.size} bytes)"

    def _pieces(self) -> Iterator[bytes]:
        if self.size <= WHOLE_BYTES:
            return iter((self.read_bytes(),))
        return self._chunk.file_pieces(self._number)


os.PathLike.register(ChunkFile)


class _Slice(io.RawIOBase):
    """The range of a chunk that one file takes, as a raw file."""

    def __init__(self, chunk: Chunk, number: int) -> None:
        self._chunk = chunk
        self._start, self._length, _ = chunk.file_member(number)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(0, self._length - self._position))
        data = self._chunk.file.pread(self._start + self._position, wanted)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
