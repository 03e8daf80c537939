"""StoredZip and the .npy headers in it, given whatever a disk or a stranger may put there."""

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_data.errors import CorruptChunkError, FormatError, NewerFormatError
from bench_data.stored_zip import Member, StoredZipWriter, end_records, npy_header
from bench_data.zip_reader import StoredZip, parse_npy_header
from data_samples import open_descriptors
from hypothesis import example, given
from hypothesis import strategies as st

COLUMN = np.arange(1000, dtype="<f8").reshape(500, 2)


def make(path: Path, header: dict[str, Any] | None = None, npy: bytes | None = None) -> bytes:
    """Write a chunk-like file with a member and a column; its bytes."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        writer = StoredZipWriter(descriptor, path)
        writer.add_parts(b"0/x", [b"content"])
        if npy is None:
            writer.add_array("values", COLUMN)
        else:
            writer._columns["values"] = writer.add_parts(b"values.npy", [npy], align=True)
        writer.finish("chunk.json", {"format": "bench-chunk"} if header is None else header)
    finally:
        os.close(descriptor)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make(tmp_path / "a.zip")
    return tmp_path / "a.zip"


def test_a_column_is_a_view_that_outlives_its_file_and_cannot_be_changed(path: Path) -> None:
    before = open_descriptors()
    file = StoredZip(path, "chunk.json")
    column = file.column("values")
    del file
    path.unlink()
    np.testing.assert_array_equal(column, COLUMN)
    assert not column.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        column[0] = 1
    del column
    assert open_descriptors() == before


def test_a_file_that_is_refused_is_closed(path: Path) -> None:
    before = open_descriptors()
    for name, size in (("segment.json", None), ("chunk.json", 5)):
        with pytest.raises(FormatError):
            StoredZip(path, name, size=size)
    assert open_descriptors() == before


def change(at: int, new: bytes) -> Callable[[bytes], bytes]:
    """Replace bytes, counted from the end where negative."""
    return lambda data: data[: at % len(data)] + new + data[at % len(data) + len(new) :]


REFUSED: dict[str, tuple[Callable[[bytes], bytes], type[FormatError], str]] = {
    "empty": (lambda _: b"", CorruptChunkError, "{path} is cut short, damaged or not a Bench file (no tail)"),
    "short": (lambda data: data[-63:], CorruptChunkError, "{path} is cut short"),
    "cut": (lambda data: data[:-1], CorruptChunkError, "{path} is cut short"),
    "longer": (lambda data: data + b"\0", CorruptChunkError, "{path} is cut short"),
    "another zip": (
        lambda data: data[:-64] + b"PK\5\6" + bytes(60),
        CorruptChunkError,
        "{path} is cut short",
    ),
    "no signature": (change(-64, b"PK\5\7"), CorruptChunkError, "{path} is cut short"),
    "another comment": (change(-42, b"Bench 1 "), CorruptChunkError, "{path} is cut short"),
    "newer": (
        change(-42, b"bench 2 "),
        NewerFormatError,
        "{path} has format version 2, this release reads up to 1\nHint: Update bench-data.",
    ),
    "much newer": (change(-42, b"bench 17 new"), NewerFormatError, "{path} has format version 17"),
    "no version": (change(-42, b"bench x "), CorruptChunkError, "{path}: its tail is damaged (b'bench x "),
    "no number": (change(-34, b"z"), CorruptChunkError, "{path}: its tail is damaged"),
    "too few fields": (change(-17, b"x"), CorruptChunkError, "{path}: its tail is damaged"),
    "negative": (change(-34, b"-"), CorruptChunkError, "{path}: its tail is damaged"),
    "beyond the end": (change(-34, b"f"), CorruptChunkError, "{path.name}, chunk.json at offset "),
    "another checksum": (change(-1, b"x"), CorruptChunkError, "{path}: its tail is damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_with_another_tail_is_refused_by_name(path: Path, name: str) -> None:
    damage, error, message = REFUSED[name]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(error) as caught:
        StoredZip(path, "chunk.json")
    assert type(caught.value) is error
    assert str(caught.value).startswith(message.format(path=path))


def test_no_byte_of_the_tail_leads_to_anything_but_the_header_or_a_format_error(path: Path) -> None:
    data = path.read_bytes()
    header = StoredZip(path, "chunk.json").header
    as_it_was = 0
    with path.open("r+b", buffering=0) as file:
        for at in range(len(data) - 64, len(data)):
            for value in range(256):
                os.pwrite(file.fileno(), bytes([value]), at)
                try:
                    found = StoredZip(path, "chunk.json").header
                except FormatError:
                    assert value != data[at]
                else:
                    as_it_was += value == data[at]
                    assert found == header
            os.pwrite(file.fileno(), data[at : at + 1], at)
    assert as_it_was == 64


HEADERS: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "not a header"),
    "not UTF-8": (b'{"format": "\xff"}', "not a header"),
    "a list": (b'["bench-chunk"]', "not a header"),
    "null": (b"null", "not a header"),
    "no format": (b'{"columns": {}}', "not a header"),
    "format a number": (b'{"columns": {}, "format": 1}', "is a 1, not what was expected"),
    "no columns": (b'{"format": "bench-chunk"}', "not a header"),
    "columns a list": (b'{"columns": [], "format": "bench-chunk"}', "not a header"),
    "too few numbers": (b'{"columns": {"a": [1, 2]}, "format": "bench-chunk"}', "not a header"),
    "negative": (b'{"columns": {"a": [-1, 2, 3]}, "format": "bench-chunk"}', "not a header"),
    "text": (b'{"columns": {"a": ["1", 2, 3]}, "format": "bench-chunk"}', "not a header"),
    "deep": (b"[" * 100_000, "not a header"),
    "another kind": (b'{"columns": {}, "format": "bench-segment"}', "is a 'bench-segment', not what was"),
    "another maker": (b'{"columns": {}, "format": "chunk"}', "is a 'chunk', not what was expected here"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_of_a_right_checksum_that_is_none_is_a_format_error(tmp_path: Path, name: str) -> None:
    header, message = HEADERS[name]
    path = tmp_path / "a.zip"
    place = Member(0, len(header), zlib.crc32(header))
    path.write_bytes(header + end_records(1, len(header), 0, place))
    with pytest.raises(FormatError) as caught:
        StoredZip(path, "chunk.json")
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_column_that_is_not_there_is_a_format_error(path: Path) -> None:
    file = StoredZip(path, "chunk.json")
    assert (file.has_column("values"), file.has_column("index")) == (True, False)
    with pytest.raises(FormatError, match=r"a\.zip has no column 'index'"):
        file.column("index")


def npy(text: str, magic: bytes = b"\x93NUMPY\1\0") -> bytes:
    width = 4 if magic[6:7] == b"\2" else 2
    return magic + len(text).to_bytes(width, "little") + text.encode("latin1")


def fields(descr: str = "'<i4'", order: str = "False", shape: str = "(3,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "short": b"\x93NUMPY\1\0",
    "cut": npy(fields())[:-5],
    "another magic": npy(fields(), b"\x93NUMPX\1\0"),
    "version 3": npy(fields(), b"\x93NUMPY\3\0"),
    "version 0": npy(fields(), b"\x93NUMPY\0\0"),
    "objects": npy(fields("'|O'")),
    "an object in a structure": npy(fields("[('a', '<i4'), ('b', '|O')]")),
    "a dtype that is none": npy(fields("'nonsense'")),
    "no dtype": npy(fields("None")),
    "a number as dtype": npy(fields("7")),
    "a huge item": npy(fields("'V99999999999999999999'")),
    "a field that is none": npy(fields("[7]")),
    "a shape that is a number": npy(fields(shape="3")),
    "a shape that is text": npy(fields(shape="'33'")),
    "a negative size": npy(fields(shape="(-1,)")),
    "a size that is infinite": npy(fields(shape="(1e999,)")),
    "a size that is not whole": npy(fields(shape="(1.5,)")),
    "a size that is text": npy(fields(shape="('3',)")),
    "Fortran order": npy(fields(order="True")),
    "a missing field": npy("{'descr': '<i4', 'shape': (3,), }"),
    "a list": npy("['<i4', False, (3,)]"),
    "a call": npy(fields(shape="__import__('os').getpid()")),
    "deep": npy("(" * 30_000),
    "deeper": npy("-" * 60_000 + "1"),
    "zeros": bytes(128),
    "a wide length beyond the data": b"\x93NUMPY\2\0" + b"\xff" * 60,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_npy_header_that_is_none_is_a_format_error(name: str) -> None:
    with pytest.raises(FormatError, match=r"\.npy header"):
        parse_npy_header(HOSTILE[name])


@given(st.binary(max_size=200).map(lambda data: b"\x93NUMPY\1\0" + data))
@example(npy(fields()))
def test_bytes_behind_the_magic_are_an_npy_header_or_a_format_error(data: bytes) -> None:
    try:
        dtype, shape, used = parse_npy_header(data)
    except FormatError:
        return
    assert not dtype.hasobject
    assert all(isinstance(size, int) and size >= 0 for size in shape)
    assert used <= len(data)


@given(st.integers(8, 80), st.integers(0, 255))
def test_a_changed_byte_of_an_npy_header_gives_another_or_a_format_error(at: int, value: int) -> None:
    data = bytearray(npy_header(COLUMN.dtype, (500, 2)))
    data[at] = value
    try:
        dtype, shape, used = parse_npy_header(bytes(data))
    except FormatError:
        return
    assert (dtype.hasobject, min(shape, default=0) >= 0, used <= len(data)) == (False, True, True)


@pytest.mark.parametrize(
    "shape",
    [
        (),
        (2,),
        (4,),
        (0, 1 << 62, 1 << 62),
        (3, 2),
        (0, 3),
        (1 << 40,),
        (1 << 62, 4),
        (0, 1 << 70),
        (1 << 100,),
        (1,) * 70,
    ],
    ids=str,
)
def test_a_column_whose_shape_does_not_fit_its_length_is_a_format_error(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path = tmp_path / "a.zip"
    make(path, npy=npy_header(np.dtype("<i4"), shape) + bytes(12))
    with pytest.raises(FormatError, match=r"a\.zip, values\.npy: shape and length do not agree"):
        StoredZip(path, "chunk.json").column("values")


def test_a_column_with_a_header_of_more_than_64_kib_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    dtype = np.dtype([(f"field{number}", "<f4") for number in range(5000)])
    array = np.arange(10_000, dtype="<f4").view(dtype)
    make(path, npy=npy_header(dtype, array.shape) + array.tobytes())
    found = StoredZip(path, "chunk.json").column("values")
    assert (found.dtype, found.shape, found.tobytes()) == (dtype, (2,), array.tobytes())


def test_a_path_without_a_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CorruptChunkError) as missing:
        StoredZip(tmp_path / "none.zip", "chunk.json")
    message = f"{tmp_path / 'none.zip'} is missing\nHint: Was the dataset rewritten since it was opened?"
    assert str(missing.value).startswith(message)
    with pytest.raises(FormatError) as folder:
        StoredZip(tmp_path, "chunk.json")
    assert str(folder.value) == f"{tmp_path} is not a file"
    with pytest.raises(FormatError) as long:
        StoredZip(tmp_path / ("x" * 300), "chunk.json")
    assert str(long.value) == f"cannot open {tmp_path / ('x' * 300)}: File name too long"


def test_a_size_or_header_that_was_not_written_here_is_refused(path: Path) -> None:
    size, crc = path.stat().st_size, StoredZip(path, "chunk.json").header_member.crc32
    StoredZip(path, "chunk.json", size=size, header_crc32=crc)
    with pytest.raises(CorruptChunkError) as other_size:
        StoredZip(path, "chunk.json", size=size + 1)
    assert str(other_size.value) == f"{path} has {size} bytes, and {size + 1} were written"
    with pytest.raises(CorruptChunkError) as other_header:
        StoredZip(path, "chunk.json", size=size, header_crc32=crc ^ 1)
    assert str(other_header.value) == f"{path}, chunk.json: this is not the file that was written here"


def test_a_column_that_changed_is_refused_with_its_offset(path: Path) -> None:
    file = StoredZip(path, "chunk.json")
    offset, length, _ = file.header["columns"]["values"]
    for at in (offset, offset + length - 1):
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        path.write_bytes(data)
        with pytest.raises(CorruptChunkError) as caught:
            file.column("values")
        assert str(caught.value).startswith(f"a.zip, values.npy at offset {offset}: the bytes are not those")
        data[at] ^= 1
        path.write_bytes(data)
    np.testing.assert_array_equal(file.column("values"), COLUMN)
