"""The records of a spool, byte by byte (docs/tracking.md); pure, and on the standard library alone.

Those that are read are named tuples, not dataclasses: a server makes tens of thousands of them a second.
"""

import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple
from zlib import crc32

from bench_track.errors import RecordError

MAGIC = b"BENCHTR1"
"""What a file begins with. As a length it is more than a payload may have, so it is no record."""

MAX_PAYLOAD_BYTES = 16 << 20
MAX_STEP = (1 << 53) - 1
"""The largest step: what a float64, and so JavaScript, counts exactly."""

SHAPE, POINTS, MEDIA, ORDER, NOTE = range(1, 6)

KIND_CRC = [crc32(bytes((kind,))) for kind in range(256)]
"""What the checksum of a record of each kind begins with."""

_HEAD = struct.Struct("<IIB")
RECORD_HEAD = _HEAD.pack
"""Length of the payload, checksum, kind."""

_POINTS = struct.Struct("<IqqIII")
_MEDIA = struct.Struct("<qqI")
_SHAPE = struct.Struct("<IH")
_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")


class Shape(NamedTuple):
    """Which series the values of a points record of that number are of."""

    shape: int
    names: tuple[str, ...]


class Points(NamedTuple):
    """One value for each series of a shape; `time` is Unix, in ns; `order` 0: the batch is not known."""

    shape: int
    step: int
    time: int
    order: int
    epoch: int
    batch: int
    values: tuple[float, ...]


class Media(NamedTuple):
    """A histogram, image, text or table; the header says which, and of what series."""

    step: int
    time: int
    header: dict[str, Any]
    content: bytes


class Order(NamedTuple):
    """A number for an order of samples; `fields` is what bench_data.batch_samples takes."""

    order: int
    fields: dict[str, Any]


class Note(NamedTuple):
    """Something said about the run; `fields["type"]` says what."""

    fields: dict[str, Any]


class Unknown(NamedTuple):
    """A record of a kind that a later version has."""

    kind: int
    payload: bytes


Record = Shape | Points | Media | Order | Note | Unknown


def pack_record(kind: int, payload: bytes) -> bytes:
    """A record.

    Args:
        kind: 1 .. 255.
        payload: At most 16 MiB.

    Raises:
        RecordError: It is larger.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise RecordError(
            f"a record of {len(payload):,} bytes is more than the {MAX_PAYLOAD_BYTES:,} that one may have",
            hint="Log less at once: a smaller image, or fewer rows.",
        )
    return _HEAD.pack(len(payload), crc32(payload, KIND_CRC[kind]), kind) + payload


def pack_shape(shape: int, names: Sequence[str]) -> bytes:
    """A shape record.

    Args:
        shape: Its number.
        names: Of the series, at most 65,535 of at most 65,535 bytes of UTF-8 each.
    """
    packed = [_SHAPE.pack(shape, len(names))]
    for name in names:
        text = name.encode()
        packed += (_U16.pack(len(text)), text)
    return pack_record(SHAPE, b"".join(packed))


def pack_points(
    shape: int,
    *,
    step: int,
    time: int,
    values: Sequence[float],
    order: int = 0,
    epoch: int = 0,
    batch: int = 0,
) -> bytes:
    """A points record.

    Args:
        shape: Its number.
        step: 0 .. MAX_STEP.
        time: Unix, in ns.
        values: One for each series of the shape.
        order: The number of an order record, or 0.
        epoch: Of the batch that was yielded last.
        batch: Its number in the epoch, of this rank.
    """
    packing = points_struct(len(values))
    payload = packing.pack(shape, step, time, order, epoch, batch, *values)
    return _HEAD.pack(packing.size, crc32(payload, KIND_CRC[POINTS]), POINTS) + payload


def pack_media(header: Mapping[str, Any], content: bytes, *, step: int, time: int) -> bytes:
    """A media record.

    Args:
        header: With at least `series` and `type`.
        content: Of that type.
        step: 0 .. MAX_STEP.
        time: Unix, in ns.
    """
    text = _to_json(header)
    return pack_record(MEDIA, _MEDIA.pack(step, time, len(text)) + text + content)


def pack_order(order: int, fields: Mapping[str, Any]) -> bytes:
    """An order record: the number, from 1, that points name it by, and what it is."""
    return pack_record(ORDER, _U32.pack(order) + _to_json(fields))


def pack_note(fields: Mapping[str, Any]) -> bytes:
    """A note record; `fields` have a `type`."""
    return pack_record(NOTE, _to_json(fields))


def read_records(buffer: bytes | bytearray | memoryview) -> tuple[list[Record], int]:
    """The whole records that a buffer begins with, and how many bytes they are.

    The buffer begins at the beginning of a file, or where an earlier call stopped. A last record that is cut
    off, or whose checksum is wrong, is left: more may come, or a crash cut it.

    Raises:
        RecordError: A payload is not what its kind says, or longer than one may be: no crash does that.
    """
    records: list[Record] = []
    view, at = memoryview(buffer), 0
    for start, stop in _frames(view):
        kind = view[start + 8]
        unpack = _UNPACK.get(kind)
        payload = bytes(view[start + _HEAD.size : stop])
        try:
            records.append(unpack(payload) if unpack else Unknown(kind, payload))
        except (struct.error, ValueError, RecursionError) as error:
            raise RecordError(f"the record at byte {start} is none of kind {kind}: {error}") from None
        at = stop
    return records, at or _after_magic(view)


def whole_bytes(buffer: bytes | bytearray | memoryview) -> int:
    """Where the last whole record of a buffer ends: as many bytes as `read_records` would take."""
    view = memoryview(buffer)
    return max((stop for _, stop in _frames(view)), default=_after_magic(view))


def _after_magic(view: memoryview) -> int:
    return len(MAGIC) if view[: len(MAGIC)] == MAGIC else 0


def _frames(view: memoryview) -> Iterator[tuple[int, int]]:
    """Where each whole record begins and ends."""
    start, length = _after_magic(view), len(view)
    if length < len(MAGIC) and MAGIC.startswith(bytes(view)):
        return
    while start + _HEAD.size <= length:
        size, crc, _ = _HEAD.unpack_from(view, start)
        if size > MAX_PAYLOAD_BYTES:
            raise RecordError(f"the record at byte {start} would have {size:,} bytes")
        stop = start + _HEAD.size + size
        if stop > length or crc32(view[start + 8 : stop]) != crc:
            return
        yield start, stop
        start = stop


@cache
def points_struct(count: int) -> struct.Struct:
    """How the payload of a points record with that many values is packed."""
    return struct.Struct(f"{_POINTS.format}{count}d")


def _unpack_shape(payload: bytes) -> Shape:
    shape, count = _SHAPE.unpack_from(payload)
    names, at = [], _SHAPE.size
    for _ in range(count):
        (length,) = _U16.unpack_from(payload, at)
        text = payload[at + 2 : at + 2 + length]
        at += 2 + length
        names.append(text.decode())
    if at != len(payload):
        raise ValueError("its names do not fill it")
    return Shape(shape, tuple(names))


def _unpack_points(payload: bytes) -> Points:
    count, rest = divmod(len(payload) - _POINTS.size, 8)
    if rest or count < 0:
        raise ValueError("its values do not fill it")
    shape, step, time, order, epoch, batch, *values = points_struct(count).unpack(payload)
    _check_step(step)
    return Points(shape, step, time, order, epoch, batch, tuple(values))


def _unpack_media(payload: bytes) -> Media:
    step, time, length = _MEDIA.unpack_from(payload)
    _check_step(step)
    at = _MEDIA.size + length
    if at > len(payload):
        raise ValueError("its header does not end")
    return Media(step, time, _from_json(payload[_MEDIA.size : at]), payload[at:])


def _unpack_order(payload: bytes) -> Order:
    (order,) = _U32.unpack_from(payload)
    return Order(order, _from_json(payload[_U32.size :]))


def _unpack_note(payload: bytes) -> Note:
    return Note(_from_json(payload))


_UNPACK: dict[int, Callable[[bytes], Record]] = {
    SHAPE: _unpack_shape,
    POINTS: _unpack_points,
    MEDIA: _unpack_media,
    ORDER: _unpack_order,
    NOTE: _unpack_note,
}


def _check_step(step: int) -> None:
    if not 0 <= step <= MAX_STEP:
        raise ValueError(f"step {step}")


def _to_json(fields: Mapping[str, Any]) -> bytes:
    # JSON has no NaN, and a browser takes none: who has one says it in words.
    return json.dumps(fields, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


def _from_json(text: bytes) -> dict[str, Any]:
    fields = json.loads(text)
    if not isinstance(fields, dict):
        raise ValueError("its JSON is no object")
    return fields
