"""Chunks that are not what was written: reading a sample says which chunk, member and offset."""

import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from bench_data import ChunkDataset, ChunkFile, WriteOptions, verify, write_chunks
from bench_data.errors import CorruptChunkError, FormatError, NewerFormatError
from bench_data.info import WriteInfo
from data_samples import Files, content, make_files

COUNT = 100
OPTIONS = WriteOptions(workers=1, chunk_bytes=32 << 10, order="source", durable=False)


@pytest.fixture
def info(tmp_path: Path) -> WriteInfo:
    return write_chunks(Files(make_files(tmp_path / "source", COUNT)), "train", "out", OPTIONS)


def _paths(tmp_path: Path) -> list[str]:
    return sorted(str(path) for path in (tmp_path / "source").iterdir())


def chunk_of(sample: int) -> Path:
    """The chunk that holds a sample's file."""
    for path in Path("out/train/chunks").iterdir():
        with zipfile.ZipFile(path) as chunk:
            if any(member.endswith(f"file-{sample:06d}.bin") for member in chunk.namelist()):
                return path
    raise AssertionError(f"sample {sample} is in no chunk")


def data_offset(path: Path, member: str) -> int:
    with zipfile.ZipFile(path) as chunk:
        found = chunk.getinfo(member)
    name, extra = struct.unpack_from("<2H", path.read_bytes(), found.header_offset + 26)
    return int(found.header_offset + 30 + name + extra)


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 4
    path.write_bytes(data)


WAYS: dict[str, Callable[[ChunkFile], bytes]] = {
    "read_bytes": ChunkFile.read_bytes,
    "view": lambda file: bytes(file.view()),
    "open": lambda file: file.open().read(),
    "path": lambda file: Path(file).read_bytes(),
    "pickled": lambda file: pickle.loads(pickle.dumps(file)).read_bytes(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_flipped_bit_of_a_file_is_found_however_it_is_read(info: WriteInfo, way: str) -> None:
    path = chunk_of(1)
    offset = data_offset(path, "1/file-000001.bin")
    flip(path, offset + 1500)
    dataset = ChunkDataset("train", "out")
    assert WAYS[way](dataset[0][1][0]) == content(0)
    with pytest.raises(CorruptChunkError) as caught:
        WAYS[way](dataset[1][1][0])
    assert str(caught.value).startswith(
        f"{path.name}, 1/file-000001.bin at offset {offset}: the bytes are not"
    )


@pytest.mark.parametrize("member", ["index.npy", "labels/0.npy", "chunk.json"])
def test_a_flipped_bit_of_a_column_is_found_by_the_first_sample(info: WriteInfo, member: str) -> None:
    path = chunk_of(50)
    offset = data_offset(path, member)
    flip(path, offset + 70)
    dataset = ChunkDataset("train", "out")
    with pytest.raises(CorruptChunkError) as caught:
        dataset[50][1][0].read_bytes()
    assert str(caught.value).startswith(f"{path.name}, {member} at offset {offset}: the bytes are not those")
    assert dataset[0][1][0].read_bytes() == content(0)
    (problem,) = verify("out/train").problems
    assert (problem.chunk, problem.member, problem.offset) == (f"chunks/{path.name}", member, offset) or (
        member == "chunk.json" and member in problem.what and str(offset) in problem.what
    )


@pytest.mark.parametrize("left", [0, 1, 63, 64, 5000, -1])
def test_a_truncated_chunk_is_named_with_both_sizes(info: WriteInfo, left: int) -> None:
    path = chunk_of(50)
    size = path.stat().st_size
    os.truncate(path, left % size)
    dataset = ChunkDataset("train", "out")
    with pytest.raises(CorruptChunkError) as caught:
        dataset[50]
    assert str(caught.value) == f"{path.absolute()} has {left % size} bytes, and {size} were written"
    assert not verify("out/train").ok


def test_swapped_chunks_are_both_named(info: WriteInfo) -> None:
    one, other = chunk_of(30), chunk_of(60)
    one.rename("aside")
    other.rename(one)
    Path("aside").rename(other)
    dataset = ChunkDataset("train", "out")
    for sample, path in ((30, one), (60, other)):
        with pytest.raises(CorruptChunkError, match=f"^{path.absolute()}"):
            dataset[sample]
    assert {problem.chunk for problem in verify("out/train").problems} == {
        f"chunks/{path.name}" for path in (one, other)
    }


def test_a_chunk_of_the_same_size_in_its_place_is_told_by_its_header(tmp_path: Path) -> None:
    for name, letter in (("train", b"a"), ("foreign", b"b")):
        write_chunks(Files(_one(tmp_path, letter)), name, "out", OPTIONS)
    (path,) = Path("out/train/chunks").iterdir()
    (foreign,) = Path("out/foreign/chunks").iterdir()
    assert path.stat().st_size == foreign.stat().st_size
    path.write_bytes(foreign.read_bytes())
    with pytest.raises(CorruptChunkError, match=r"chunk\.json: this is not the file that was written here"):
        ChunkDataset("train", "out")[0]
    assert not verify("out/train").ok


def _one(tmp_path: Path, letter: bytes) -> list[str]:
    path = tmp_path / letter.decode() / "x-1.bin"
    path.parent.mkdir()
    path.write_bytes(letter * 100)
    return [str(path)]


@pytest.mark.parametrize(
    "other", [b"", b"not a chunk", b"PK\5\6" + bytes(18), b"\0" * 5000], ids=["empty", "text", "zip", "zeros"]
)
def test_a_foreign_file_in_the_place_of_a_chunk_is_refused(info: WriteInfo, other: bytes) -> None:
    path = chunk_of(50)
    size = path.stat().st_size
    path.write_bytes(other)
    with pytest.raises(CorruptChunkError, match=f"^{path.absolute()} has {len(other)} bytes, and {size}"):
        ChunkDataset("train", "out")[50]
    path.write_bytes(other.ljust(size, b"\0"))
    with pytest.raises(CorruptChunkError, match=f"^{path.absolute()} is cut short, damaged or not a"):
        ChunkDataset("train", "out")[50]


def test_a_missing_chunk_is_named_and_written_again(info: WriteInfo, tmp_path: Path) -> None:
    path = chunk_of(50)
    whole = path.read_bytes()
    path.unlink()
    with pytest.raises(CorruptChunkError, match=f"^{path.absolute()} is missing"):
        ChunkDataset("train", "out")[50]
    again = write_chunks(Files(_paths(tmp_path)), "train", "out", OPTIONS)
    assert (again.chunks_written, again.fingerprint) == (1, info.fingerprint)
    assert path.read_bytes() == whole


def test_a_folder_in_the_place_of_a_chunk_is_refused(info: WriteInfo) -> None:
    path = chunk_of(50)
    path.unlink()
    path.mkdir()
    with pytest.raises(FormatError, match=str(path.absolute())):
        ChunkDataset("train", "out")[50]
    assert not verify("out/train").ok


def test_a_chunk_of_a_newer_format_is_told_apart_from_a_damaged_one(info: WriteInfo) -> None:
    path = chunk_of(50)
    data = path.read_bytes()
    path.write_bytes(data[:-64] + data[-64:].replace(b"bench 1 ", b"bench 2 "))
    with pytest.raises(NewerFormatError) as caught:
        ChunkDataset("train", "out")[50]
    assert str(caught.value).startswith(f"{path.absolute()} has format version 2, this release reads up to 1")


def test_a_chunk_renamed_over_while_it_is_open_is_read_on(info: WriteInfo) -> None:
    dataset = ChunkDataset("train", "out")
    file = dataset[50][1][0]
    path = chunk_of(50)
    chunk_of(60).replace(path)
    assert file.read_bytes() == content(50)
    assert dataset[51][1][0].read_bytes() == content(51)
    del dataset, file
    with pytest.raises(CorruptChunkError, match=f"^{path.absolute()}"):
        ChunkDataset("train", "out")[50]


def test_a_dataset_that_is_open_while_it_is_written_anew_says_to_open_it_again(
    info: WriteInfo, tmp_path: Path
) -> None:
    dataset = ChunkDataset("train", "out")
    held = dataset[0][1][0]
    for path in _paths(tmp_path):
        Path(path).write_bytes(b"new")
    write_chunks(Files(_paths(tmp_path)), "train", "out", OPTIONS)
    assert held.read_bytes() == content(0)
    with pytest.raises(CorruptChunkError, match=r"is missing\nHint: Was the dataset rewritten"):
        dataset[50]
    assert ChunkDataset("train", "out")[50][1][0].read_bytes() == b"new"
