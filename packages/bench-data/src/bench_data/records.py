"""Checks a chunk's ZIP records, all files at once: a million small files must not take a minute.

`verification` makes each record anew and says where one differs; here the records of files are compared as
arrays, and the first that differs is named.
"""

import os
from itertools import pairwise, repeat
from typing import Any

import numpy as np

from bench_data.chunk_reader import Chunk
from bench_data.errors import FormatError
from bench_data.stored_zip import (
    CENTRAL,
    DATE,
    LOCAL,
    MAX16,
    MAX32,
    Member,
    central_record,
    end_records,
    local_header,
)

_COMMON = [
    *((name, "<u2") for name in ("needed", "flags", "method", "time", "date")),
    *((name, "<u4") for name in ("crc32", "stored", "length")),
    *((name, "<u2") for name in ("name", "extra")),
]
LOCAL_DTYPE = np.dtype([("signature", "S4"), *_COMMON])
CENTRAL_DTYPE = np.dtype([("signature", "S4"), ("made", "<u2"), *_COMMON, ("rest", "V10"), ("offset", "<u4")])

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def check_records(chunk: Chunk) -> list[bytes]:
    """Check that every header and record follows from the index and the header.

    Args:
        chunk: Its members are known to follow each other within the file.

    Returns:
        The names of its files, `sample/base name`.

    Raises:
        FormatError: One does not.
    """
    file = chunk.file
    names, end, directory = _file_records(chunk)
    columns = sorted((Member(*place), name) for name, place in file.header["columns"].items())
    members = [(f"{name}.npy".encode(), member, True) for member, name in columns]
    for name, member, aligned in [*members, (b"chunk.json", file.header_member, False)]:
        expected = local_header(name, member.length, member.crc32, align_at=end if aligned else None)
        if file.pread(end, member.offset - end) != expected:
            raise _different(chunk, name.decode(errors="replace"))
        directory += central_record(name, member.length, member.crc32, end)
        end = member.offset + member.length
    count = chunk.files + len(members) + 1
    expected = directory + end_records(count, end, len(directory), file.header_member)
    if file.pread(end, file.size - end) != expected:
        raise _different(chunk, "the central directory")
    return names


def _file_records(chunk: Chunk) -> tuple[list[bytes], int, bytes]:
    """The files' names, where the last one ends, and their part of the central directory."""
    if not chunk.files:
        return [], 0, b""
    index = chunk.file.column("index")
    ends = (index["offset"] + index["length"]).astype(np.int64)
    starts = np.concatenate([[0], ends[:-1]])
    if ends[-1] >= MAX32:
        return _large_file_records(chunk, starts.tolist(), int(ends[-1]))
    lengths = index["offset"].astype(np.int64) - starts - LOCAL.size
    if lengths.min() < 1 or lengths.max() > MAX16:
        raise _different(chunk, "a file")
    # Not from a map of the chunk: a page fault for each file takes longer than these calls.
    descriptor, sizes = chunk.file.descriptor, (lengths + LOCAL.size).tolist()
    headers = b"".join(map(os.pread, repeat(descriptor), sizes, starts.tolist()))
    data = np.frombuffer(headers, np.uint8)
    if len(data) != sum(sizes):
        raise _different(chunk, "a file")
    places = np.concatenate([[0], np.cumsum(lengths)])
    local_at = places[:-1] + LOCAL.size * np.arange(len(index))
    names = data[_spread(local_at + LOCAL.size, lengths, places)]
    fields = {
        "needed": 20,
        "flags": np.where(np.logical_or.reduceat(names > 127, places[:-1]), 0x0800, 0),
        "date": DATE,
        "crc32": index["crc32"],
        "stored": index["length"],
        "length": index["length"],
        "name": lengths,
    }
    local = _filled(LOCAL_DTYPE, len(index), {"signature": b"PK\3\4", **fields})
    if not np.array_equal(data[local_at[:, None] + np.arange(LOCAL.size)], _rows(local)):
        raise _different(chunk, "a file")
    central = _filled(
        CENTRAL_DTYPE, len(index), {"signature": b"PK\1\2", "made": 45, "offset": starts, **fields}
    )
    directory = np.empty(len(names) + CENTRAL.size * len(index), np.uint8)
    central_at = places[:-1] + CENTRAL.size * np.arange(len(index))
    directory[central_at[:, None] + np.arange(CENTRAL.size)] = _rows(central)
    directory[_spread(central_at + CENTRAL.size, lengths, places)] = names
    text, bounds = names.tobytes(), places.tolist()
    found = [text[first:last] for first, last in pairwise(bounds)]
    return found, int(ends[-1]), directory.tobytes()


def _large_file_records(chunk: Chunk, starts: list[int], end: int) -> tuple[list[bytes], int, bytes]:
    """The same one by one, for chunks so large that records have further fields."""
    names, directory = [], bytearray()
    for number, start in enumerate(starts):
        name, member = chunk.member_name(number).encode(errors="replace"), Member(*chunk.file_member(number))
        if chunk.file.pread(start, member.offset - start) != local_header(name, member.length, member.crc32):
            raise _different(chunk, "a file")
        names.append(name)
        directory += central_record(name, member.length, member.crc32, start)
    return names, end, bytes(directory)


def _spread(firsts: Any, lengths: Any, places: Any) -> Any:
    """The positions of runs that begin at `firsts`, one after the other."""
    return np.repeat(firsts - places[:-1], lengths) + np.arange(places[-1])


def _filled(dtype: np.dtype[Any], count: int, fields: dict[str, Any]) -> np.ndarray[Any, Any]:
    rows = np.zeros(count, dtype)
    for name, values in fields.items():
        rows[name] = values
    return rows


def _rows(array: np.ndarray[Any, Any]) -> Bytes:
    return array.view(np.uint8).reshape(len(array), array.dtype.itemsize)


def _different(chunk: Chunk, what: str) -> FormatError:
    return FormatError(f"{chunk.row.path}: the ZIP record of {what} is not what its header and index say")
