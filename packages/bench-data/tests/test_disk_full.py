"""A disk without space: an error that names it, nothing half-made, and the write goes on with more."""

import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench_data import ChunkDataset, WriteOptions, verify, write_chunks
from bench_data.errors import WriteError
from data_samples import Computed, Files, make_files, snapshot


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of 2 MiB; where none may be mounted, a folder on which files of more than 64 KiB cannot be."""
    folder = Path("disk").absolute()
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "bench-data-test", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode == 0:
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        return
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, limits[1]))
    try:
        yield folder
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def options(workers: int, chunk_bytes: int = 128 << 10) -> WriteOptions:
    return WriteOptions(workers=workers, chunk_bytes=chunk_bytes, order="source", durable=False)


def _is_mounted(folder: Path) -> bool:
    return folder.stat().st_dev != folder.parent.stat().st_dev


def make_room(folder: Path) -> None:
    if subprocess.run(["mount", "-o", "remount,size=32m", str(folder)], capture_output=True).returncode:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits[1], limits[1]))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_write_that_fills_the_disk_goes_on_when_there_is_room(
    small_disk: Path, tmp_path: Path, workers: int
) -> None:
    paths = make_files(tmp_path / "source", 300, size=10_000)
    fresh = write_chunks(Files(paths), "fresh", tmp_path, options(1))
    with pytest.raises(WriteError) as caught:
        write_chunks(Files(paths), "train", small_disk, options(workers))
    assert type(caught.value).__name__ == ("DiskFullError" if _is_mounted(small_disk) else "WriteError")
    assert f" {small_disk}/train/.writing/" in str(caught.value)
    assert "What was written is kept; the same call goes on from there." in str(caught.value)
    assert not (small_disk / "train/dataset.json").exists()
    if workers == 1:
        assert not list(small_disk.rglob("*.tmp"))
    make_room(small_disk)
    info = write_chunks(Files(paths), "train", small_disk, options(workers))
    assert info.chunks_written < info.chunks == fresh.chunks
    assert snapshot(small_disk / "train") == snapshot(tmp_path / "fresh")
    assert verify(info.path).ok


def test_an_update_that_fills_the_disk_leaves_the_old_version(small_disk: Path, tmp_path: Path) -> None:
    few, many = Computed(50), Files(make_files(tmp_path / "source", 300, size=10_000))
    write_chunks(few, "train", small_disk, options(1))
    before = snapshot(small_disk / "train")
    with pytest.raises(WriteError, match=str(small_disk)):
        write_chunks(many, "train", small_disk, options(1))
    after = snapshot(small_disk / "train")
    assert {name: after[name] for name in before} == before
    assert ChunkDataset("train", small_disk).__getitems__([0, 49]) == [0, 49]
    make_room(small_disk)
    assert write_chunks(many, "train", small_disk, options(1)).samples == 300
    assert verify(small_disk / "train").ok
    assert not before.keys() & snapshot(small_disk / "train").keys() - {"dataset.json"}
