"""Files that StoredZipWriter writes, byte by byte and as Python's zipfile, Info-ZIP and numpy read them."""

import io
import os
import struct
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_data.errors import SourceError
from bench_data.stored_zip import (
    BUFFER_BYTES,
    Member,
    StoredZipWriter,
    WrittenZip,
    central_record,
    end_records,
    local_header,
    npy_header,
)
from bench_data.zip_reader import StoredZip, parse_npy_header
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

HEADER: dict[str, Any] = {"format": "bench-chunk", "version": 1, "ä": [1, None, "ü"]}
NAME = "chunk.json"


@contextmanager
def writing(path: Path) -> Iterator[StoredZipWriter]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        yield StoredZipWriter(descriptor, path)
    finally:
        os.close(descriptor)


def write(
    path: Path,
    members: Sequence[tuple[str, bytes]] = (),
    columns: dict[str, np.ndarray[Any, Any]] | None = None,
) -> WrittenZip:
    """A file of these members and columns."""
    with writing(path) as writer:
        for name, data in members:
            writer.add_parts(name.encode(), [data[:1], data[1:]])
        for name, array in (columns or {}).items():
            writer.add_array(name, array)
        return writer.finish(NAME, HEADER)


def add_source(writer: StoredZipWriter, name: bytes, source: Path, size: int | None = None) -> Member:
    """Add a file as the chunk writer does."""
    descriptor = os.open(source, os.O_RDONLY)
    try:
        return writer.add_file(name, descriptor, source.stat().st_size if size is None else size)
    finally:
        os.close(descriptor)


def check_with_other_tools(path: Path, expected: dict[str, bytes]) -> None:
    """Every other reader finds these members, in order, whole and stored."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == list(expected)
        assert [archive.read(name) for name in expected] == list(expected.values())
        for found in archive.infolist():
            assert (found.compress_type, found.date_time) == (zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0))
            assert zlib.crc32(expected[found.filename]) == found.CRC
            assert (found.create_version, found.external_attr, found.comment) == (45, 0, b"")
    unzip_tests(path)


def unzip_tests(path: Path) -> None:
    done = subprocess.run(["unzip", "-tq", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert done.stdout.startswith("No errors detected in compressed data of")


def test_members_and_columns_come_back_through_every_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    members = [("0/a.bin", b"hello"), ("1/Bär 🐻.png", b""), ("2/x", bytes(range(256)) * 50)]
    column = np.arange(12, dtype="<i4").reshape(3, 4)
    written = write(path, members, {"labels/0": column})
    data = path.read_bytes()
    assert (written.size, written.digest) == (len(data), blake3(data).digest())
    file = StoredZip(path, NAME, size=written.size, header_crc32=written.header_crc32)
    np.testing.assert_array_equal(file.column("labels/0"), column)
    assert {key: file.header[key] for key in HEADER} == HEADER
    with zipfile.ZipFile(path) as archive:
        rest = {name: archive.read(name) for name in ("labels/0.npy", NAME)}
    check_with_other_tools(path, {**dict(members), **rest})
    np.testing.assert_array_equal(np.load(io.BytesIO(rest["labels/0.npy"]), allow_pickle=False), column)


def test_what_a_writer_reports_of_a_member_is_where_its_data_lies(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    (tmp_path / "source").write_bytes(b"from a file")
    with writing(path) as writer:
        first = writer.add_parts(b"0/a", [b"some", b"", b"thing"])
        second = add_source(writer, b"1/b", tmp_path / "source")
        assert writer.offset == second.offset + second.length
        writer.finish(NAME, HEADER)
    data = path.read_bytes()
    for member, content in ((first, b"something"), (second, b"from a file")):
        assert data[member.offset :][: member.length] == content
        assert member.crc32 == zlib.crc32(content)
    assert second.offset == first.offset + first.length + 30 + len(b"1/b")
    unzip_tests(path)


@pytest.mark.parametrize("name", [b"0/x", "0/ü".encode(), b"0/" + b"n" * 250])
@pytest.mark.parametrize("size", [0, 1, BUFFER_BYTES - 600, BUFFER_BYTES, 2 * BUFFER_BYTES + 17])
def test_a_file_gives_the_same_bytes_as_its_content_whatever_its_size(
    tmp_path: Path, name: bytes, size: int
) -> None:
    content = (bytes(range(251)) * (size // 251 + 1))[:size]
    (tmp_path / "source").write_bytes(content)
    with writing(tmp_path / "file.zip") as writer:
        writer.add_parts(b"before", [b"x" * 500])
        found = add_source(writer, name, tmp_path / "source")
        assert found == add_source(writer, name + b"2", tmp_path / "source")._replace(offset=found.offset)
        file = writer.finish(NAME, HEADER)
    with writing(tmp_path / "parts.zip") as writer:
        writer.add_parts(b"before", [b"x" * 500])
        assert writer.add_parts(name, [content]) == found
        writer.add_parts(name + b"2", [content])
        assert writer.finish(NAME, HEADER) == file
    assert (tmp_path / "file.zip").read_bytes() == (tmp_path / "parts.zip").read_bytes()
    unzip_tests(tmp_path / "file.zip")


@pytest.mark.parametrize("size", [10, BUFFER_BYTES, 3 * BUFFER_BYTES])
@pytest.mark.parametrize("wrong", [-1, 1, 1000])
def test_a_file_of_another_size_than_was_said_is_refused(tmp_path: Path, size: int, wrong: int) -> None:
    (tmp_path / "source").write_bytes(bytes(size))
    said = max(0, size + wrong)
    with writing(tmp_path / "a.zip") as writer, pytest.raises(SourceError) as caught:
        add_source(writer, b"0/x", tmp_path / "source", said)
    assert f"changed while it was read (it had {said} bytes" in str(caught.value)


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=20)
COLUMN_DTYPES = st.sampled_from(["|u1", ">i2", "<f8", "|b1", "<c16"])
COLUMNS = st.lists(st.tuples(COLUMN_DTYPES, st.lists(st.integers(0, 4), max_size=3)), max_size=4)


@settings(max_examples=40)
@given(st.lists(st.tuples(NAMES, st.binary(max_size=200)), max_size=5), COLUMNS)
def test_any_names_and_contents_are_read_by_zipfile_and_by_slices(
    files: list[tuple[str, bytes]], columns: list[tuple[str, list[int]]]
) -> None:
    members = {f"{number}/{name}": data for number, (name, data) in enumerate(files)}
    arrays = {f"labels/{i}": np.ones(shape, dtype) for i, (dtype, shape) in enumerate(columns)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.zip")
        written = write(path, list(members.items()), arrays)
        assert blake3(path.read_bytes()).digest() == written.digest
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            assert archive.namelist() == [*members, *(f"{name}.npy" for name in arrays), NAME]
            assert {name: archive.read(name) for name in members} == members
        file = StoredZip(path, NAME)
        for name, array in arrays.items():
            found = file.column(name)
            assert (found.dtype.str, found.shape, found.tobytes()) == (
                array.dtype.str,
                array.shape,
                array.tobytes(),
            )


def test_the_bytes_of_a_column_begin_at_a_multiple_of_64(tmp_path: Path) -> None:
    """Whatever lies before it; FORMAT.md, section 2, word for word."""
    for before in range(64):
        path = tmp_path / f"{before}.zip"
        write(path, [("x", bytes(before))], {"labels/0": np.arange(before, dtype="<u2")})
        data = path.read_bytes()
        offset, length, crc = StoredZip(path, NAME).header["columns"]["labels/0"]
        start = 30 + 1 + before
        name_bytes, extra_bytes = struct.unpack_from("<2H", data, start + 26)
        extra = data[start + 30 + name_bytes :][:extra_bytes]
        zeros = extra_bytes - 6
        assert 0 <= zeros <= 63
        assert extra == struct.pack("<3H", 0xD935, 2 + zeros, 64) + bytes(zeros)
        assert offset == start + 30 + name_bytes + extra_bytes
        assert (offset % 64, length % 64) == (0, 2 * before % 64)
        assert crc == zlib.crc32(data[offset : offset + length])
        directory = data.index(b"PK\1\2")
        assert data[directory + 47 :].startswith(b"PK\1\2")  # its name has one byte and no extra field
        unzip_tests(path)


def test_the_tail_is_64_bytes_that_name_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write(path, [("0/x", b"x" * 1000)])
    data = path.read_bytes()
    header = '{"columns":{},"format":"bench-chunk","version":1,"ä":[1,null,"ü"]}'.encode()
    offset = data.index(header)
    directory = offset + len(header)
    assert data[directory:].startswith(b"PK\1\2")
    fields = (b"PK\5\6", 0, 0, 2, 2, len(data) - 64 - directory, directory, 42)
    comment = f"bench 1 {offset:016x} {len(header):08x} {zlib.crc32(header):08x}"
    assert data[-64:] == struct.pack("<4s4H2LH", *fields) + comment.encode()


LARGE = 0xFFFFFFFF
MOST_MEMBERS = 0xFFFE


@pytest.mark.parametrize("size", [0, 1, LARGE - 1, LARGE, LARGE + 1, 5 << 30, 1 << 50])
@pytest.mark.parametrize("align_at", [None, 0, 1, 63, 64, LARGE, (1 << 40) + 3])
def test_local_headers_have_zip64_sizes_from_four_gigabytes_on(size: int, align_at: int | None) -> None:
    found = local_header(b"0/x", size, 7, align_at=align_at)
    wide = size >= LARGE
    extra = struct.pack("<2H2Q", 1, 16, size, size) if wide else b""
    if align_at is not None:
        zeros = -(align_at + 30 + 3 + len(extra) + 6) % 64
        extra += struct.pack("<3H", 0xD935, 2 + zeros, 64) + bytes(zeros)
        assert (align_at + len(found)) % 64 == 0
    shown = LARGE if wide else size
    fixed = (b"PK\3\4", 45 if wide else 20, 0, 0, 0, 0x21, 7, shown, shown, 3, len(extra))
    assert found == struct.pack("<4s5H3L2H", *fixed) + b"0/x" + extra


@pytest.mark.parametrize("offset", [0, LARGE - 1, LARGE, LARGE + 1, 1 << 50])
@pytest.mark.parametrize("size", [0, LARGE - 1, LARGE, LARGE + 1, 1 << 50])
def test_central_records_have_zip64_fields_only_where_needed(size: int, offset: int) -> None:
    found = central_record("ü".encode(), size, 7, offset)
    wide = [size, size] * (size >= LARGE) + [offset] * (offset >= LARGE)
    extra = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
    shown = min(size, LARGE)
    fixed = (45, 45 if size >= LARGE else 20, 0x800, 0, 0, 0x21, 7, shown, shown, 2, len(extra), 0, 0, 0, 0)
    assert found == struct.pack("<4s6H3L5H2L", b"PK\1\2", *fixed, min(offset, LARGE)) + "ü".encode() + extra


@pytest.mark.parametrize(
    ("members", "offset", "size", "wide"),
    [
        (1, 0, 0, False),
        (MOST_MEMBERS, LARGE - 1, LARGE - 1, False),
        (MOST_MEMBERS + 1, 5, 6, True),
        (1, LARGE, 6, True),
        (1, 5, LARGE, True),
        (1 << 20, 1 << 40, 1 << 33, True),
    ],
)
def test_end_records_are_zip64_only_where_needed(members: int, offset: int, size: int, wide: bool) -> None:
    found = end_records(members, offset, size, Member(0xABC, 0x12, 0xDEADBEEF))
    zip64 = (b"PK\6\6", 44, 45, 45, 0, 0, members, members, size, offset)
    locator = (b"PK\6\7", 0, offset + size, 1)
    records = struct.pack("<4sQ2H2L4Q", *zip64) + struct.pack("<4sLQL", *locator) if wide else b""
    shown = (min(members, 0xFFFF), min(members, 0xFFFF), min(size, LARGE), min(offset, LARGE))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *shown, 42)
    assert found == records + end + b"bench 1 0000000000000abc 00000012 deadbeef"


@pytest.mark.parametrize("members", [MOST_MEMBERS, MOST_MEMBERS + 1, MOST_MEMBERS + 2])
def test_more_members_than_a_zip_could_count_are_read_by_all(tmp_path: Path, members: int) -> None:
    path = tmp_path / "a.zip"
    with writing(path) as writer:
        for number in range(members - 1):
            writer.add_parts(b"%d/x" % number, [b"%d" % number])
        writer.finish(NAME, HEADER)
    assert (path.read_bytes()[-64 - 20 :][:4] == b"PK\6\7") == (members > MOST_MEMBERS)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [*(f"{number}/x" for number in range(members - 1)), NAME]
        assert archive.read("65000/x") == b"65000"
    assert StoredZip(path, NAME).header["format"] == "bench-chunk"
    unzip_tests(path)


# Not LARGE itself: Info-ZIP 6.00 misreads the member behind one of just so many bytes.
@pytest.mark.parametrize("size", [LARGE - 1, LARGE + 1, 5 << 30])
def test_a_chunk_of_more_than_four_gigabytes_is_read_by_all(tmp_path: Path, size: int) -> None:
    """Put together from the writer's records around a hole, which takes no room on the disk."""
    path = tmp_path / "large.zip"
    header = b'{"columns":{},"format":"bench-chunk"}'
    small, directory = b"behind the hole", bytearray()
    with path.open("wb") as file:
        for name, data in ((b"0/large", None), (b"1/small", small), (NAME.encode(), header)):
            length, crc = (size, 0) if data is None else (len(data), zlib.crc32(data))
            directory += central_record(name, length, crc, file.tell())
            file.write(local_header(name, length, crc))
            place = Member(file.tell(), length, crc)
            file.seek(size, os.SEEK_CUR) if data is None else file.write(data)
        start = file.tell()
        file.write(directory + end_records(3, start, len(directory), place))
    assert path.stat().st_blocks * 512 < 1 << 20
    with zipfile.ZipFile(path) as archive:
        assert [archive.getinfo(name).file_size for name in ("0/large", "1/small")] == [size, len(small)]
        assert archive.read("1/small") == small
        with archive.open("0/large") as large:
            assert large.read(1 << 20) == bytes(1 << 20)
    assert StoredZip(path, NAME).header == {"columns": {}, "format": "bench-chunk"}
    done = subprocess.run(["unzip", "-p", path, "1/small"], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (small, b"")


@given(
    st.sampled_from(["<i4", "|u1", ">f8", "|V7", "<M8[ns]"]), st.lists(st.integers(0, 1 << 40), max_size=8)
)
def test_npy_headers_are_what_format_md_says_and_numpy_reads_them(dtype: str, sizes: list[int]) -> None:
    shape = tuple(sizes)
    found = npy_header(np.dtype(dtype), shape)
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    assert len(found) % 64 == 0
    assert found[:8] == b"\x93NUMPY\1\0"
    assert struct.unpack_from("<H", found, 8) == (len(found) - 10,)
    assert found[10:].decode() == text + " " * (len(found) - 11 - len(text)) + "\n"
    assert len(found) - 11 - len(text) < 64
    file = io.BytesIO(found)
    assert np.lib.format.read_magic(file) == (1, 0)
    assert np.lib.format.read_array_header_1_0(file) == (shape, False, np.dtype(dtype))


@pytest.mark.parametrize(("fields", "version"), [(2, (1, 0)), (5000, (2, 0))])
def test_a_dtype_of_thousands_of_fields_takes_version_2(fields: int, version: tuple[int, int]) -> None:
    dtype = np.dtype([(f"field{number}", "<f4") for number in range(fields)])
    array = np.zeros(3, dtype)
    header = npy_header(dtype, array.shape)
    assert (header[6], header[7]) == version
    file = io.BytesIO(header + array.tobytes())
    assert np.load(file, max_header_size=1 << 20).dtype == dtype
    assert parse_npy_header(header) == (dtype, (3,), len(header))
