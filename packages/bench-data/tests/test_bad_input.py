"""Files that cannot be read, or are unusual: a clear error, and nothing lost."""

import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench_data import (
    ChunkDataset,
    WriteOptions,
    verify,
    write_chunks,
)
from bench_data.errors import SourceError
from bench_data.stored_zip import StoredZipWriter
from data_samples import Computed, Files, content, make_files, snapshot

COUNT = 100
BAD = 57
"""Not one of the samples that the plan looks at, so others are written before it."""


def options(workers: int = 1) -> WriteOptions:
    """About nine samples of 3,000 bytes a chunk, in the order of the source."""
    return WriteOptions(workers=workers, chunk_bytes=32 << 10, order="source", durable=False)


@contextmanager
def no_privileges() -> Iterator[None]:
    """Be an ordinary user for a while: nothing is forbidden to root."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user can enter and write to."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        yield Path(name)


def _missing(path: str) -> str:
    os.unlink(path)
    return path


def _dangling(path: str) -> str:
    os.unlink(path)
    os.symlink("nowhere", path)
    return path


def _loop(path: str) -> str:
    os.unlink(path)
    os.symlink(path, path)
    return path


def _folder(path: str) -> str:
    os.unlink(path)
    os.mkdir(path)
    return path


def _pipe(path: str) -> str:
    os.unlink(path)
    os.mkfifo(path)
    return path


def _socket(path: str) -> str:
    os.unlink(path)
    here = os.getcwd()
    os.chdir(os.path.dirname(path))  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.basename(path))
    os.chdir(here)
    return path


NULL_BYTE = "open: embedded null character in path" if sys.version_info >= (3, 13) else "embedded null byte"
BAD_FILES: list[tuple[Callable[[str], str], str]] = [
    (_missing, "No such file or directory"),
    (_dangling, "No such file or directory"),
    (_loop, "Too many levels of symbolic links"),
    (_folder, "not a file"),
    (_pipe, "not a file"),
    (_socket, "No such device or address"),
    (lambda _: "/dev/zero", "not a file"),
    (lambda _: "", "No such file or directory"),
    (lambda path: f"{path}\0", NULL_BYTE),
    (lambda path: f"{path}/below", "Not a directory"),
    (lambda path: path + "x" * 300, "File name too long"),
]


@pytest.mark.parametrize(
    ("spoil", "what", "workers"),
    [(*bad, 1) for bad in BAD_FILES] + [(*BAD_FILES[0], 2), (*BAD_FILES[4], 2)],
)
def test_a_bad_file_is_named_with_its_sample_and_the_rest_is_resumed(
    tmp_path: Path, spoil: Callable[[str], str], what: str, workers: int
) -> None:
    paths = make_files(tmp_path / "source", COUNT)
    good = paths[BAD]
    stat = os.stat(good)
    fresh = write_chunks(Files(paths), "fresh", tmp_path / "out", options())
    bad = spoil(good)
    paths[BAD] = bad
    source = Computed(COUNT, lambda item: [paths[item]])
    with pytest.raises(SourceError) as caught:
        write_chunks(source, "train", tmp_path / "out", options(workers))
    assert str(caught.value).startswith(f"sample {BAD}, {bad!r}: {what}")
    assert not (tmp_path / "out/train/dataset.json").exists()

    if os.path.isdir(good):
        os.rmdir(good)
    elif os.path.lexists(good):
        os.unlink(good)
    Path(good).write_bytes(content(BAD))
    os.utime(good, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    paths[BAD] = good
    info = write_chunks(source, "train", tmp_path / "out", options(workers))
    assert 0 < info.chunks_written < info.chunks
    assert info.fingerprint == fresh.fingerprint
    assert verify(info.path).ok


@pytest.mark.parametrize("mode", [0o000, 0o200])
def test_an_unreadable_file_is_named_with_its_sample_and_the_rest_is_resumed(shared: Path, mode: int) -> None:
    paths = make_files(shared / "source", COUNT)
    write_chunks(Files(paths), "fresh", shared / "out", options())
    (shared / "out").chmod(0o777)
    os.chmod(paths[BAD], mode)
    with no_privileges(), pytest.raises(SourceError) as caught:
        write_chunks(Files(paths), "train", shared / "out", options())
    assert str(caught.value).startswith(f"sample {BAD}, {paths[BAD]!r}: Permission denied")
    os.chmod(paths[BAD], 0o644)
    with no_privileges():
        info = write_chunks(Files(paths), "train", shared / "out", options())
    assert 0 < info.chunks_written < info.chunks
    assert snapshot(shared / "out/train") == snapshot(shared / "out/fresh")


@pytest.mark.parametrize("spoil", [_missing, _pipe, _folder])
def test_a_bad_file_leaves_the_previous_version_as_it_is(tmp_path: Path, spoil: Callable[[str], str]) -> None:
    paths = make_files(tmp_path / "source", COUNT)
    write_chunks(Files(paths), "train", tmp_path, options())
    before = snapshot(tmp_path / "train")
    paths += make_files(tmp_path / "source", 50, first=COUNT)
    spoil(paths[BAD])
    with pytest.raises(SourceError, match=f"^sample {BAD}, '{paths[BAD]}': "):
        write_chunks(Files(paths), "train", tmp_path, options())
    after = snapshot(tmp_path / "train")
    assert {name: after[name] for name in before} == before
    assert ChunkDataset("train", tmp_path)[BAD][1][0].read_bytes() == content(BAD)


@contextmanager
def _meanwhile(action: Callable[[int], None]) -> Iterator[None]:
    """Call `action` again and again in a thread."""
    stop = threading.Event()

    def work() -> None:
        turn = 0
        while not stop.wait(0.0005):
            action(turn)
            turn += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("change", ["grows", "shrinks", "is overwritten"])
def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path: Path, change: str) -> None:
    path, size = tmp_path / "big.bin", 100 << 20
    with open(path, "wb") as file:
        file.truncate(size)

    def act(turn: int) -> None:
        if change == "is overwritten":
            with open(path, "r+b") as file:
                file.write(turn.to_bytes(8, "little"))
        else:
            os.truncate(path, size + (turn + 1) * (1 if change == "grows" else -1))

    with _meanwhile(act), pytest.raises(SourceError) as caught:
        write_chunks(Computed(1, lambda _: [str(path)]), "train", tmp_path, options())
    assert str(caught.value).startswith(f"sample 0, {str(path)!r}: the file changed while it was read")
    assert snapshot(tmp_path / "train").keys() <= {".writing"}


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_small_file_of_another_size_than_it_had_is_an_error(tmp_path: Path, difference: int) -> None:
    (tmp_path / "small").write_bytes(b"x" * 1000)
    with open(tmp_path / "small", "rb") as source, open(tmp_path / "chunk", "wb") as target:
        writer = StoredZipWriter(target.fileno())
        with pytest.raises(SourceError, match=r"it had .* bytes when it was opened"):
            writer.add_file(b"0/small", source.fileno(), 1000 + difference)


def test_empty_files_come_back_empty(tmp_path: Path) -> None:
    paths = make_files(tmp_path / "source", 40, size=0)
    for path in paths:
        Path(path).write_bytes(b"")
    info = write_chunks(Files(paths), "train", tmp_path, options())
    file = ChunkDataset("train", tmp_path)[7][1][0]
    assert (file.size, file.read_bytes(), bytes(file.view()), file.open().read()) == (0, b"", b"", b"")
    assert Path(file).read_bytes() == b""
    assert verify(info.path).ok


NAMES = [
    "ä.jpg",
    "日本語 文件.png",
    "e\u0301.txt",
    "😀",
    "-rf",
    " x ",
    "a\nb",
    "back\\slash",
    ".hidden",
    "%s{0}",
    "x" * 255,
]


def test_unusual_file_names_come_back_as_they_were(tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        (tmp_path / name).write_bytes(b"%d" % number)
    info = write_chunks(
        Computed(len(NAMES), lambda item: [tmp_path / NAMES[item]]),
        "train",
        tmp_path,
        WriteOptions(order="source"),
    )
    dataset = ChunkDataset("train", tmp_path)
    for number in range(len(NAMES)):
        label, files = dataset[number]
        assert (label, files[0].name) == (number, NAMES[number])
        assert os.path.basename(os.fspath(files[0])) == NAMES[number]
        assert Path(files[0]).read_bytes() == b"%d" % number
    assert verify(info.path).ok


def test_a_file_name_that_is_not_utf_8_comes_back_with_replacements(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    with open(path, "wb") as file:
        file.write(b"coffee")
    write_chunks(Computed(1, lambda _: [os.fsdecode(path)]), "train", tmp_path)
    ((_, (found,)),) = ChunkDataset("train", tmp_path).__getitems__([0])
    assert found.name == "caf\ufffd.txt"
    assert Path(found).read_bytes() == b"coffee"
