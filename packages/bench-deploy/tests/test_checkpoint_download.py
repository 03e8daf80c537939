"""A checkpoint appears whole or not at all, wherever it comes from and whatever is in its way."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench_deploy.checkpoint_download import fetch
from bench_deploy.errors import CheckpointError
from bench_track.checkpoint_folder import Checkpoint, CheckpointFile, read
from checkpoint_tools import contents, write_checkpoint

FILES = {"model/weights.bin": os.urandom(3_000_000), "model/empty": b"", "args.json": b"{}"}


class FolderSource:
    """A checkpoint's folder, in pieces."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.folder = checkpoint.folder

    def document(self) -> bytes:
        return (self.folder / "checkpoint.json").read_bytes()

    def read(self, file: CheckpointFile) -> Iterator[bytes]:
        data = (self.folder / file.path).read_bytes()
        yield from (data[at : at + 1_000_000] for at in range(0, len(data), 1_000_000))


@pytest.fixture
def source(tmp_path: Path) -> FolderSource:
    return FolderSource(write_checkpoint(tmp_path / "made", 5, FILES))


def left(tmp_path: Path) -> list[str]:
    return sorted(os.listdir(tmp_path / "here")) if (tmp_path / "here").exists() else []


def test_it_is_what_was_written(source: FolderSource, tmp_path: Path) -> None:
    files = fetch(source, tmp_path / "here" / "mine")
    assert sorted(file.path for file in files) == sorted(FILES)
    assert contents(tmp_path / "here" / "mine") == contents(source.folder)
    read(tmp_path / "here" / "mine").verify()
    assert left(tmp_path) == ["mine"]


def tear(folder: Path) -> None:
    with (folder / "model/weights.bin").open("r+b") as file:
        file.truncate(1_000_001)


def alter(folder: Path) -> None:
    with (folder / "model/weights.bin").open("r+b") as file:
        file.seek(2_999_999)
        file.write(bytes([FILES["model/weights.bin"][-1] ^ 1]))


def lengthen(folder: Path) -> None:
    with (folder / "model/empty").open("ab") as file:
        file.write(b"x")


def escape(folder: Path) -> None:
    document = folder / "checkpoint.json"
    document.write_bytes(document.read_bytes().replace(b"args.json", b"../mine.json"))


@pytest.mark.parametrize("damage", [tear, alter, lengthen, escape])
def test_one_that_is_damaged_is_refused_and_leaves_nothing(
    source: FolderSource, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(source.folder)
    with pytest.raises(CheckpointError):
        fetch(source, tmp_path / "here" / "mine")
    assert left(tmp_path) == []


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_nothing_is_written_over(source: FolderSource, tmp_path: Path, kind: str) -> None:
    here = tmp_path / "here"
    here.mkdir()
    if kind == "file":
        (here / "mine").write_text("x")
    elif kind == "folder":
        (here / "mine").mkdir()
    else:
        (here / "mine").symlink_to("nowhere")
    with pytest.raises(CheckpointError, match="is there already"):
        fetch(source, here / "mine")
    assert left(tmp_path) == ["mine"]


def test_what_came_in_between_stays(source: FolderSource, tmp_path: Path) -> None:
    target = tmp_path / "here" / "mine"

    class Slow(FolderSource):
        def read(self, file: CheckpointFile) -> Iterator[bytes]:
            target.mkdir(exist_ok=True)
            return super().read(file)

    with pytest.raises(CheckpointError, match="is there already"):
        fetch(Slow(read(source.folder)), target)
    assert contents(tmp_path / "here") == {}
    assert left(tmp_path) == ["mine"]


def test_one_that_is_interrupted_leaves_nothing(source: FolderSource, tmp_path: Path) -> None:
    class Interrupted(FolderSource):
        def read(self, file: CheckpointFile) -> Iterator[bytes]:
            yield b"x"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(Interrupted(read(source.folder)), tmp_path / "here" / "mine")
    assert left(tmp_path) == []


def test_a_folder_that_cannot_be_made(source: FolderSource, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match="cannot be kept"):
        fetch(source, tmp_path / "file" / "mine")
