"""The stored ZIP of FORMAT.md, section 2: written as a stream, read by slices."""

import json
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from bench_core import start_writeback
from blake3 import blake3
from isal.isal_zlib import crc32

from bench_data.errors import SourceError, write_failed

VERSION = 1
TAIL_BYTES = 64
TAIL = struct.Struct("<4s4H2LH42s")
LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
ZIP64_END = struct.Struct("<4sQ2H2L4Q")
ZIP64_LOCATOR = struct.Struct("<4sLQL")
INDEX_DTYPE = np.dtype([("offset", "<u8"), ("length", "<u8"), ("crc32", "<u4")])
INDEX_ROW = struct.Struct("<QQL")

ALIGNMENT = 64
ALIGN_ID = 0xD935
DATE = 0x0021
MAX32, MAX16 = 0xFFFFFFFF, 0xFFFF

BUFFER_BYTES = 4 << 20
"""Written and hashed at once: large enough for BLAKE3's widest vector path, small enough for the L2/L3
caches."""

WRITE_BYTES = 512 << 10
"""Written at a time. For a larger write Linux takes 2 MiB folios, which a virtual machine must often fetch
from its host first: measured there, 0.25 GB/s by 4 MiB and 3.4 GB/s by 512 KiB."""


class Member(NamedTuple):
    """Where a member's data lies in the file."""

    offset: int
    length: int
    crc32: int


@dataclass(frozen=True, kw_only=True)
class WrittenZip:
    """A finished file: its size in bytes, its BLAKE3, the CRC-32 of its header."""

    size: int
    digest: bytes
    header_crc32: int


def canonical_json(value: Any) -> bytes:
    """The one encoding of a JSON value that digests are made of."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def name_flags(name: bytes) -> int:
    """General purpose flags of a member: bit 11 if the name is not ASCII."""
    return 0 if name.isascii() else 0x0800


def local_header(name: bytes, size: int, crc: int, *, align_at: int | None = None) -> bytes:
    """A member's local header, name and extra field.

    Args:
        name: UTF-8.
        size: Bytes of data.
        crc: CRC-32 of the data.
        align_at: The header's own offset if the data shall begin at a multiple of 64.
    """
    zip64 = size >= MAX32
    extra = struct.pack("<2H2Q", 1, 16, size, size) if zip64 else b""
    if align_at is not None:
        padding = -(align_at + LOCAL.size + len(name) + len(extra) + 6) % ALIGNMENT
        extra += struct.pack("<3H", ALIGN_ID, 2 + padding, ALIGNMENT) + bytes(padding)
    shown = MAX32 if zip64 else size
    needed = 45 if zip64 else 20
    fixed = (b"PK\3\4", needed, name_flags(name), 0, 0, DATE, crc, shown, shown, len(name), len(extra))
    return LOCAL.pack(*fixed) + name + extra


def central_record(name: bytes, size: int, crc: int, header_offset: int) -> bytes:
    """A member's record in the central directory."""
    extra = b""
    if size >= MAX32:
        extra += struct.pack("<2Q", size, size)
    if header_offset >= MAX32:
        extra += struct.pack("<Q", header_offset)
    if extra:
        extra = struct.pack("<2H", 1, len(extra)) + extra
    needed = 45 if size >= MAX32 else 20
    shown = min(size, MAX32)
    sizes = (crc, shown, shown, len(name), len(extra), 0, 0, 0, 0, min(header_offset, MAX32))
    return CENTRAL.pack(b"PK\1\2", 45, needed, name_flags(name), 0, 0, DATE, *sizes) + name + extra


def end_records(members: int, directory_offset: int, directory_bytes: int, header: Member) -> bytes:
    """The ZIP64 end records if they are needed, and the tail."""
    records = b""
    if members >= MAX16 or directory_offset >= MAX32 or directory_bytes >= MAX32:
        end = directory_offset + directory_bytes
        records = ZIP64_END.pack(
            b"PK\6\6", 44, 45, 45, 0, 0, members, members, directory_bytes, directory_offset
        ) + ZIP64_LOCATOR.pack(b"PK\6\7", 0, end, 1)
    count = min(members, MAX16)
    where = (min(directory_bytes, MAX32), min(directory_offset, MAX32))
    comment = b"bench %d %016x %08x %08x" % (VERSION, header.offset, header.length, header.crc32)
    return records + TAIL.pack(b"PK\5\6", 0, 0, count, count, *where, len(comment), comment)


def npy_header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The header of an `.npy` file; our own, because numpy's padding differs between its versions."""
    descr = dtype.descr if dtype.names else dtype.str
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode("latin1")
    length, prefix = "<H", b"\x93NUMPY\1\0"
    if len(text) + ALIGNMENT > MAX16:
        length, prefix = "<L", b"\x93NUMPY\2\0"
    used = len(prefix) + struct.calcsize(length)
    text += b" " * (-(used + len(text) + 1) % ALIGNMENT) + b"\n"
    return prefix + struct.pack(length, len(text)) + text


class StoredZipWriter:
    """Writes one stored ZIP, front to back, through a buffer that is hashed as it leaves.

    Args:
        descriptor: An empty file, open for writing; stays the caller's to close.
        path: Its name, for messages.
        early_writeback: Ask the system to start writing to the disk at once.
    """

    def __init__(self, descriptor: int, path: Path | None = None, *, early_writeback: bool = False) -> None:
        self._descriptor = descriptor
        self._path = path
        self._early_writeback = early_writeback
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._fill = 0
        self._flushed = 0
        self._hasher = blake3()
        self._central = bytearray()
        self._members = 0
        self._columns: dict[str, Member] = {}

    @property
    def offset(self) -> int:
        """Bytes written so far, the buffer included."""
        return self._flushed + self._fill

    def add_file(self, name: bytes, source: int, size: int) -> Member:
        """Add a member with the bytes of an open regular file.

        Args:
            name: The member's name, UTF-8.
            source: A descriptor at the file's start.
            size: The file's size in bytes.

        Raises:
            SourceError: The file has another size, or changed while it was read.
        """
        start = self._fill
        data = start + LOCAL.size + len(name)
        end = data + size
        if end >= BUFFER_BYTES:
            if end - start >= BUFFER_BYTES:
                return self._add_large_file(name, source, size)
            self._flush()
            return self.add_file(name, source, size)
        # One byte more than the size, so that a file that grew is seen without another call.
        if os.readv(source, [self._view[data : end + 1]]) != size:
            raise _changed(size)
        crc: int = crc32(self._view[data:end])
        flags = name_flags(name)
        # These are local_header and central_record without their rare cases: this runs for every small file.
        fixed = (flags, 0, 0, DATE, crc, size, size, len(name), 0)
        LOCAL.pack_into(self._buffer, start, b"PK\3\4", 20, *fixed)
        self._buffer[start + LOCAL.size : data] = name
        offset = self._flushed + start
        if offset < MAX32:
            self._central += CENTRAL.pack(b"PK\1\2", 45, 20, *fixed, 0, 0, 0, 0, offset) + name
        else:
            self._central += central_record(name, size, crc, offset)
        self._members += 1
        self._fill = end
        return Member(self._flushed + data, size, crc)

    def add_parts(self, name: bytes, parts: Iterable[bytes], *, align: bool = False) -> Member:
        """Add a member with the given bytes, which are passed over twice."""
        parts = list(parts)
        size, crc = 0, 0
        for part in parts:
            size, crc = size + len(part), crc32(part, crc)
        return self._add_streamed(name, size, crc, parts, align=align)

    def add_column(self, name: str, dtype: Any, shape: tuple[int, ...], parts: Iterable[bytes]) -> None:
        """Add an array as an aligned `.npy` member.

        Args:
            name: The column's name, without `.npy`.
            dtype: The array's dtype.
            shape: The array's shape.
            parts: Its bytes in C order.
        """
        npy = [npy_header(np.dtype(dtype), shape), *parts]
        self._columns[name] = self.add_parts(f"{name}.npy".encode(), npy, align=True)

    def add_array(self, name: str, array: np.ndarray[Any, Any]) -> None:
        """Add a whole array as a column."""
        self.add_column(name, array.dtype, array.shape, [array.tobytes()])

    def finish(self, header_name: str, header: dict[str, Any]) -> WrittenZip:
        """Write the header, the central directory and the tail; nothing can be added after.

        Args:
            header_name: The header's member name.
            header: Its JSON, to which the columns are added.
        """
        columns = {name: list(member) for name, member in self._columns.items()}
        place = self.add_parts(header_name.encode(), [canonical_json({**header, "columns": columns})])
        directory = self.offset
        self._write(self._central)
        self._write(end_records(self._members, directory, len(self._central), place))
        self._flush()
        return WrittenZip(size=self._flushed, digest=self._hasher.digest(), header_crc32=place.crc32)

    def _add_large_file(self, name: bytes, source: int, size: int) -> Member:
        # Read twice: the local header comes first and holds the CRC.
        crc, seen = 0, 0
        for piece in _pieces(source):
            crc, seen = crc32(piece, crc), seen + len(piece)
        if seen != size:
            raise _changed(size)
        os.lseek(source, 0, os.SEEK_SET)
        again = _Summed(_pieces(source))
        member = self._add_streamed(name, size, crc, again)
        if (again.size, again.crc32) != (size, crc):
            raise _changed(size)
        return member

    def _add_streamed(
        self, name: bytes, size: int, crc: int, parts: Iterable[bytes], *, align: bool = False
    ) -> Member:
        header_offset = self.offset
        self._write(local_header(name, size, crc, align_at=header_offset if align else None))
        member = Member(self.offset, size, crc)
        for part in parts:
            self._write(part)
        self._list_member(name, size, crc, header_offset)
        return member

    def _list_member(self, name: bytes, size: int, crc: int, header_offset: int) -> None:
        self._central += central_record(name, size, crc, header_offset)
        self._members += 1

    def _write(self, data: bytes | bytearray) -> None:
        view = memoryview(data).cast("B")
        while len(view):
            if self._fill == BUFFER_BYTES:
                self._flush()
            taken = min(len(view), BUFFER_BYTES - self._fill)
            self._view[self._fill : self._fill + taken] = view[:taken]
            self._fill += taken
            view = view[taken:]

    def _flush(self) -> None:
        full = self._view[: self._fill]
        self._hasher.update(full)
        written = 0
        try:
            while written < self._fill:
                written += os.write(self._descriptor, full[written : written + WRITE_BYTES])
        except OSError as error:
            error.filename = self._path
            raise write_failed(error) from error
        if self._early_writeback:
            start_writeback(self._descriptor, self._flushed, self._fill)
        self._flushed += self._fill
        self._fill = 0


def _pieces(source: int) -> Iterator[bytes]:
    while piece := os.read(source, BUFFER_BYTES):
        yield piece


class _Summed:
    """Passes pieces on and keeps their size and CRC-32."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.size, self.crc32 = 0, 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.size, self.crc32 = self.size + len(piece), crc32(piece, self.crc32)
            yield piece


def _changed(size: int) -> SourceError:
    return SourceError(
        f"the file changed while it was read (it had {size} bytes when it was opened)",
        hint="Let whatever writes it finish, then run the same call again.",
    )
