"""Opens a stored ZIP (FORMAT.md, section 2) by its tail and hands out its columns."""

import ast
import json
import math
import mmap
import operator
import os
import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from isal.isal_zlib import crc32

from bench_data.errors import CorruptChunkError, FormatError, NewerFormatError
from bench_data.stored_zip import TAIL, TAIL_BYTES, VERSION, Member

COMMENT = re.compile(rb"bench 1 ([0-9a-f]{16}) ([0-9a-f]{8}) ([0-9a-f]{8})")
"""The end record's comment: where the header is."""

MAX_HEADER, MAX_NPY_HEADER = 16 << 20, 1 << 17
"""Bytes of the JSON header, and of an `.npy` header: parsing far larger ones takes minutes and gigabytes."""

PIECE_BYTES = 1 << 20
"""Read at a time where only a checksum is wanted."""

DESCRIPTORS_EACH = 1 if sys.version_info >= (3, 13) else 2
"""File descriptors that one open file takes: its own and, before Python 3.13, the map's copy."""


class ZipRanges:
    """A stored ZIP that is read by ranges, wherever its bytes are. A subclass says how: `pread`.

    Args:
        path: The file, for messages.
        size: Its bytes.
        header_name: What the header's member is called: names the kind of file.

    Raises:
        CorruptChunkError: It is cut short or damaged.
        NewerFormatError: A newer release wrote it.
        FormatError: It is not a file of this format.
    """

    def __init__(self, path: Path, size: int, header_name: str) -> None:
        self.path, self.size = path, size
        self.header_member = self._find_header(header_name)
        self.header: dict[str, Any] = self._read_header(header_name)

    def pread(self, offset: int, length: int) -> bytes:
        """Bytes of the file; fewer only at its end."""
        raise NotImplementedError

    def has_column(self, name: str) -> bool:
        """Whether the file has a column of that name."""
        return name in self.header["columns"]

    def column_range(self, name: str) -> "ColumnRange":
        """A column of which only what is asked for is read; its checksum is not compared.

        Raises:
            FormatError: It is not there, or its bytes are no column.
        """
        member = self._member(name)
        header = self.pread(member.offset, min(member.length, MAX_NPY_HEADER))
        dtype, shape, used = parse_npy_header(header)
        if used + dtype.itemsize * math.prod(shape) != member.length:
            raise FormatError(f"{self.path}, {name}.npy: shape and length do not agree")
        return ColumnRange(self, member.offset + used, dtype, shape)

    def check(self, member: Member, name: str) -> None:
        """Read a member's data and compare its checksum.

        Raises:
            CorruptChunkError: They differ.
        """
        crc, end = 0, member.offset + member.length
        if end <= self.size:
            for offset in range(member.offset, end, PIECE_BYTES):
                crc = crc32(self.pread(offset, min(PIECE_BYTES, end - offset)), crc)
        if end > self.size or crc != member.crc32:
            raise corrupt(self.path, name, member.offset)

    def _member(self, name: str) -> Member:
        if not self.has_column(name):
            raise FormatError(f"{self.path} has no column {name!r}")
        return Member(*self.header["columns"][name])

    def _find_header(self, name: str) -> Member:
        tail = self.pread(max(0, self.size - TAIL_BYTES), TAIL_BYTES)
        comment = TAIL.unpack(tail)[-1] if len(tail) == TAIL_BYTES else b""
        if not tail.startswith(b"PK\5\6") or not comment.startswith(b"bench "):
            raise CorruptChunkError(f"{self.path} is cut short, damaged or not a Bench file (no tail)")
        version = re.match(rb"bench (\d+) ", comment)
        if version and int(version[1]) > VERSION:
            raise NewerFormatError(
                f"{self.path} has format version {int(version[1])}, this release reads up to {VERSION}",
                hint="Update bench-data.",
            )
        fields = COMMENT.fullmatch(comment)
        if not fields:
            raise CorruptChunkError(f"{self.path}: its tail is damaged ({comment!r})")
        return Member(*(int(field, 16) for field in fields.groups()))

    def _read_header(self, name: str) -> dict[str, Any]:
        if self.header_member.length > MAX_HEADER:
            raise FormatError(f"{self.path}, {name}: a header of absurd length")
        self.check(self.header_member, name)
        try:
            header = json.loads(self.pread(self.header_member.offset, self.header_member.length))
            kind, places = header["format"], [Member(*place) for place in header["columns"].values()]
            if any(type(number) is not int or number < 0 for place in places for number in place):
                raise ValueError("a column that is nowhere")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise FormatError(f"{self.path}, {name}: not a header") from None
        if kind != f"bench-{name.removesuffix('.json')}":
            raise FormatError(f"{self.path} is a {kind!r}, not what was expected here ({name})")
        return dict(header)


@dataclass(frozen=True)
class ColumnRange:
    """A column that is read by ranges.

    Args:
        file: Where it is.
        offset: Of its first value in the file.
        dtype: Of its values.
        shape: Its shape.
    """

    file: ZipRanges
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def values(self, start: int, count: int) -> np.ndarray[Any, Any]:
        """Values [start, start + count) in C order, (count,).

        Raises:
            FormatError: It has not so many.
        """
        if not 0 <= start <= start + count <= math.prod(self.shape):
            raise FormatError(f"{self.file.path}: values {start} to {start + count} of a column {self.shape}")
        size = self.dtype.itemsize
        data = self.file.pread(self.offset + start * size, count * size)
        return np.frombuffer(data, np.uint8).view(self.dtype)


class StoredZip(ZipRanges):
    """One open file. Its descriptor is closed when the last reference goes.

    Args:
        path: The file.
        header_name: What the header's member is called: names the kind of file.
        size: The size it must have, in bytes, if known.
        header_crc32: The CRC-32 that its header must have, if known.

    Raises:
        CorruptChunkError: It is missing, cut short, changed, or another file.
        NewerFormatError: A newer release wrote it.
        FormatError: It is not a file of this format.
    """

    def __init__(
        self, path: Path, header_name: str, *, size: int | None = None, header_crc32: int | None = None
    ) -> None:
        self.descriptor = -1
        try:
            self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise CorruptChunkError(
                f"{path} is missing", hint="Was the dataset rewritten since it was opened? Open it again."
            ) from None
        except OSError as error:
            raise FormatError(f"cannot open {path}: {error.strerror}") from error
        found = os.fstat(self.descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise FormatError(f"{path} is not a file")
        if size is not None and found.st_size != size:
            raise CorruptChunkError(f"{path} has {found.st_size} bytes, and {size} were written")
        super().__init__(path, found.st_size, header_name)
        if header_crc32 is not None and self.header_member.crc32 != header_crc32:
            raise CorruptChunkError(f"{path}, {header_name}: this is not the file that was written here")
        self._map: mmap.mmap | None = None

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)

    @property
    def map(self) -> mmap.mmap:
        """The whole file, mapped read-only. Views into it keep it alive."""
        if self._map is None:
            options: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}
            try:
                self._map = mmap.mmap(self.descriptor, self.size, access=mmap.ACCESS_READ, **options)
            except OSError as error:  # too many open files, as a rule
                raise FormatError(f"cannot map {self.path}: {error.strerror}") from error
        return self._map

    def column(self, name: str) -> np.ndarray[Any, Any]:
        """A column as a read-only view of the map, its checksum verified.

        Raises:
            CorruptChunkError: Its bytes are not those that were written.
        """
        member = self._member(name)
        self.check(member, f"{name}.npy")
        data = memoryview(self.map)[member.offset : member.offset + member.length]
        dtype, shape, used = parse_npy_header(data)
        try:
            if used + dtype.itemsize * math.prod(shape) != member.length:
                raise ValueError("too many or too few bytes")
            return np.ndarray(shape, dtype, buffer=self.map, offset=member.offset + used)
        except (ValueError, TypeError):  # numpy: too many dimensions, or too large ones
            raise FormatError(f"{self.path}, {name}.npy: shape and length do not agree") from None

    def pread(self, offset: int, length: int) -> bytes:
        """See ZipRanges."""
        return os.pread(self.descriptor, length, offset)


def corrupt(path: Path, member: str, offset: int) -> CorruptChunkError:
    """The error for bytes that are not those that were written."""
    return CorruptChunkError(
        f"{path.name}, {member} at offset {offset}: the bytes are not those that were written ({path})",
        hint="`bench_data.verify` lists all damage; writing the dataset again mends it.",
    )


def parse_npy_header(data: bytes | memoryview) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Read an `.npy` header.

    Returns:
        The dtype, the shape, and the number of bytes before the array.

    Raises:
        FormatError: It is not one, or its dtype holds Python objects.
    """
    try:
        start = {b"\1\0": 10, b"\2\0": 12}[bytes(data[6:8])]
        end = start + int.from_bytes(data[8:start], "little")
        if end > MAX_NPY_HEADER:
            raise ValueError("a header of absurd length")
        fields = ast.literal_eval(bytes(data[start:end]).decode("latin1"))
        descr, in_columns = fields["descr"], fields["fortran_order"]
        if not isinstance(descr, (str, list)) or end > len(data):
            raise ValueError("no dtype, or cut short")
        dtype = np.dtype([tuple(f) for f in descr] if isinstance(descr, list) else descr)
        shape = tuple(operator.index(size) for size in fields["shape"])
    except (ValueError, SyntaxError, KeyError, TypeError, IndexError, MemoryError, RecursionError):
        raise FormatError("not an .npy header") from None
    if data[:6] != b"\x93NUMPY" or dtype.hasobject or in_columns or min(shape, default=0) < 0:
        raise FormatError("an .npy header that is not allowed here")
    return dtype, shape, end
