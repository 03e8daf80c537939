"""The records of a spool, byte by byte."""

import contextlib
import math
import struct
import subprocess
import sys
import zlib

import pytest
from bench_track.errors import RecordError
from bench_track.records import (
    MAGIC,
    MAX_PAYLOAD_BYTES,
    MAX_STEP,
    Media,
    Note,
    Order,
    Points,
    Record,
    Shape,
    Unknown,
    pack_media,
    pack_note,
    pack_order,
    pack_points,
    pack_record,
    pack_shape,
    read_records,
    whole_bytes,
)
from hypothesis import given
from hypothesis import strategies as st

POINTS = pack_points(7, step=3, time=1_700_000_000_000_000_000, order=1, epoch=2, batch=5, values=[0.5, -2.0])

VECTORS: dict[str, tuple[bytes, str, Record]] = {
    "shape": (
        pack_shape(1, ["loss", "é"]),
        "10000000 48ae5b29 01 01000000 0200 0400 6c6f7373 0200 c3a9",
        Shape(1, ("loss", "é")),
    ),
    "points": (
        POINTS,
        "30000000 7d712823 02 07000000 0300000000000000 00002a36fe9c9717 01000000 02000000 05000000"
        " 000000000000e03f 00000000000000c0",
        Points(7, 3, 1_700_000_000_000_000_000, 1, 2, 5, (0.5, -2.0)),
    ),
    "media": (
        pack_media({"series": "x", "type": "text"}, b"hi", step=1, time=2),
        "32000000 bafd2a0b 03 0100000000000000 0200000000000000 1c000000"
        " 7b22736572696573223a2278222c2274797065223a2274657874227d 6869",
        Media(1, 2, {"series": "x", "type": "text"}, b"hi"),
    ),
    "order": (
        pack_order(1, {"seed": 0}),
        "0e000000 6cd5e17f 04 01000000 7b2273656564223a307d",
        Order(1, {"seed": 0}),
    ),
    "note": (pack_note({"type": "x"}), "0c000000 25552537 05 7b2274797065223a2278227d", Note({"type": "x"})),
    "unknown": (pack_record(9, b"ab"), "02000000 0fb8ca2f 09 6162", Unknown(9, b"ab")),
}


@pytest.mark.parametrize("name", VECTORS)
def test_a_record_has_these_bytes(name: str) -> None:
    packed, expected, record = VECTORS[name]
    assert packed == bytes.fromhex(expected)
    assert read_records(packed) == ([record], len(packed))


@pytest.mark.parametrize("name", VECTORS)
def test_the_checksum_is_of_kind_and_payload(name: str) -> None:
    packed = VECTORS[name][0]
    length, crc = struct.unpack_from("<II", packed)
    assert length == len(packed) - 9
    assert crc == zlib.crc32(packed[8:])


SPOOL = MAGIC + b"".join(packed for packed, _, _ in VECTORS.values())
RECORDS = [record for _, _, record in VECTORS.values()]


def test_a_file_is_read_from_its_beginning() -> None:
    assert read_records(SPOOL) == (RECORDS, len(SPOOL))
    assert read_records(memoryview(SPOOL)) == (RECORDS, len(SPOOL))
    assert whole_bytes(SPOOL) == len(SPOOL)


def test_a_file_cut_off_anywhere_gives_the_whole_records_before() -> None:
    ends = [read_records(SPOOL[:length])[1] for length in range(len(SPOOL) + 1)]
    whole = [len(MAGIC)]
    for packed, _, _ in VECTORS.values():
        whole.append(whole[-1] + len(packed))
    assert ends == [max((end for end in whole if end <= length), default=0) for length in range(len(ends))]
    assert ends == [whole_bytes(SPOOL[:length]) for length in range(len(SPOOL) + 1)]


def test_reading_goes_on_where_it_stopped() -> None:
    found: list[Record] = []
    buffer = b""
    for byte in SPOOL:
        buffer += bytes((byte,))
        records, consumed = read_records(buffer)
        found += records
        buffer = buffer[consumed:]
    assert (found, buffer) == (RECORDS, b"")


def test_reading_stops_at_a_wrong_checksum() -> None:
    for at in range(4, len(POINTS)):
        damaged = bytearray(MAGIC + POINTS + POINTS)
        damaged[len(MAGIC) + len(POINTS) + at] ^= 1
        assert read_records(damaged)[1] == len(MAGIC) + len(POINTS)


def test_every_float_comes_back() -> None:
    values = (math.inf, -math.inf, 5e-324, -0.0, 1.7976931348623157e308)
    [record], _ = read_records(pack_points(1, step=MAX_STEP, time=-1, values=values))
    assert record == Points(1, MAX_STEP, -1, 0, 0, 0, values)
    [nan], _ = read_records(pack_points(1, step=0, time=0, values=[math.nan]))
    assert isinstance(nan, Points)
    assert math.isnan(nan.values[0])


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (1, b""),
        (1, bytes.fromhex("01000000 0100 0500 61")),
        (1, bytes.fromhex("01000000 0100 0100 61 62")),
        (1, bytes.fromhex("01000000 0100 0100 ff")),
        (2, b""),
        (2, bytes(39)),
        (2, struct.pack("<IqqIII", 1, -1, 0, 0, 0, 0)),
        (2, struct.pack("<IqqIII", 1, MAX_STEP + 1, 0, 0, 0, 0)),
        (3, bytes(19)),
        (3, struct.pack("<qqI", 0, 0, 3) + b"{}"),
        (3, struct.pack("<qqI", -1, 0, 2) + b"{}"),
        (4, b"123"),
        (4, b"1234[]"),
        (5, b"1"),
        (5, b"{"),
        (5, b"\xff"),
        (5, b"[" * 100_000),
    ],
)
def test_a_payload_that_no_writer_writes(kind: int, payload: bytes) -> None:
    with pytest.raises(RecordError, match=f"the record at byte 8 is none of kind {kind}"):
        read_records(MAGIC + pack_record(kind, payload))


def test_a_length_that_no_writer_writes() -> None:
    with pytest.raises(RecordError, match="the record at byte 8 would have 16,777,217 bytes"):
        read_records(MAGIC + struct.pack("<IIB", MAX_PAYLOAD_BYTES + 1, 0, 5))
    with pytest.raises(RecordError, match="16,777,217 bytes is more than"):
        pack_record(3, bytes(MAX_PAYLOAD_BYTES + 1))


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        _, consumed = read_records(data)
    except RecordError:
        return
    assert consumed == whole_bytes(data)


@given(st.integers(1, 5), st.binary(max_size=80))
def test_any_payload_is_read_or_refused(kind: int, payload: bytes) -> None:
    packed = pack_record(kind, payload)
    with contextlib.suppress(RecordError):
        assert read_records(packed)[1] == len(packed)


NAMES = "import sys; print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"


def test_only_the_standard_library_is_imported() -> None:
    def modules(before: str) -> set[str]:
        command = [sys.executable, "-c", before + NAMES]
        return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())

    # What is there in any case: the import hooks of this environment.
    assert modules("import bench_track.records; ") - modules("") == {"bench_core", "bench_track"}
