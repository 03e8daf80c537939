"""What a call of write_chunks may be given, and what it does beside writing."""

import contextlib
import fcntl
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from bench_data import ProcessorDataset, WriteOptions, dataset_info, write_chunks
from bench_data.errors import SourceError
from data_samples import Computed, Files, make_files, snapshot
from writer_tools import OPTIONS, check, chunks, inodes, write

COUNT = 100


Disk = list[tuple[int, int]]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Device and inode of everything that is made durable, in order; it still is."""
    found: Disk = []

    def spy(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(descriptor: int, *args: Any) -> Any:
            if not args or args[0] == getattr(fcntl, "F_FULLFSYNC", None):
                stat = os.fstat(descriptor)
                found.append((stat.st_dev, stat.st_ino))
            return function(descriptor, *args)

        return call

    monkeypatch.setattr(os, "fsync", spy(os.fsync))
    monkeypatch.setattr(fcntl, "fcntl", spy(fcntl.fcntl))  # on macOS
    return found


@pytest.fixture
def source() -> Files:
    return Files(make_files(Path("source"), COUNT))


class Inline(Executor):
    """Runs a task as it comes, as often as it is told to: a cluster may run a lost task again."""

    def __init__(self, times: int) -> None:
        self.times, self.tasks = times, 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.tasks += 1
        results = [fn(*args, **kwargs) for _ in range(self.times)]
        future.set_result(results[0])
        return future


EXECUTORS: dict[str, Callable[[], Executor]] = {
    "threads": lambda: ThreadPoolExecutor(3),
    "processes": lambda: ProcessPoolExecutor(2, mp_context=get_context("spawn")),
    "one by one": lambda: Inline(1),
    "each twice": lambda: Inline(2),
}


@pytest.mark.parametrize("kind", EXECUTORS)
def test_any_executor_writes_the_same_bytes(source: Files, kind: str) -> None:
    fresh = write(source, "fresh")
    with EXECUTORS[kind]() as executor:
        info = write_chunks(source, "train", "out", OPTIONS, executor=executor)
        assert executor.submit(abs, -3).result() == 3  # it is the caller's, who may go on with it
    assert (info.fingerprint, info.chunks_written) == (fresh.fingerprint, fresh.chunks)
    assert snapshot(Path("out/train")) == snapshot(Path("out/fresh"))
    check(source)


def test_an_executor_does_all_the_writing(source: Files) -> None:
    executor = Inline(1)
    info = write_chunks(source, "train", "out", OPTIONS, executor=executor)
    assert executor.tasks == info.chunks  # one block each
    assert write_chunks(source, "train", "out", OPTIONS, executor=executor).chunks_written == 0
    assert executor.tasks == info.chunks


def test_what_fails_in_an_executor_reaches_the_caller_and_the_rest_is_kept(source: Files) -> None:
    lost = Path(source.paths[98])  # of the last chunk, and not one that the plan looks at
    data, stat = lost.read_bytes(), lost.stat()
    lost.unlink()
    processor = Computed(COUNT, source.get_file, source.get_label_and_numeric_data)
    options = WriteOptions(chunk_bytes=40 << 10, order="source", durable=False)
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(SourceError, match=f"^sample 98, '{lost}': No such file or directory"):
            write_chunks(processor, "train", "out", options, executor=executor)
        lost.write_bytes(data)
        os.utime(lost, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        info = write_chunks(processor, "train", "out", options, executor=executor)
    assert 0 < info.chunks_written < info.chunks
    check(source)


class Silent(ProcessorDataset):
    """Nothing may be asked of it."""

    def __len__(self) -> int:
        raise AssertionError("its length")


def test_the_same_source_version_means_that_nothing_is_looked_at(source: Files) -> None:
    first = write(source, source_version="1")
    before = inodes()
    second = write(Silent(), source_version="1")
    assert (second.fingerprint, second.chunks_written) == (first.fingerprint, 0)
    assert inodes() == before
    with pytest.raises(SourceError, match=r"^Silent\.__len__ failed: AssertionError: its length"):
        write(Silent(), source_version="2")
    with pytest.raises(SourceError, match="its length"):
        write(Silent(), source_version="1", seed=1)
    with pytest.raises(SourceError, match="its length"):
        write(Silent())
    assert inodes().items() >= before.items()


def test_another_source_version_costs_what_changed(source: Files) -> None:
    first = write(source, source_version="1")
    before = inodes()
    assert write(source, source_version="2").chunks_written == 0
    source.paths += make_files(Path("source"), 5, first=COUNT)
    assert write(source, source_version="2").samples == COUNT  # as the user says, nothing changed
    third = write(source, source_version="3")
    assert (third.samples, third.chunks_written) == (COUNT + 5, 1)
    assert chunks(inodes()).items() >= chunks(before).items()
    assert write(source).chunks_written == 0  # without a version the files decide
    assert len({first.source_digest, third.source_digest, write(source).source_digest}) == 3
    check(source)


def test_a_source_version_does_not_change_the_bytes(source: Files) -> None:
    write(source, "with", source_version="1")
    write(source, "without")
    assert chunks(snapshot(Path("out/with"))) == chunks(snapshot(Path("out/without")))


def _remove(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 2)


@pytest.mark.parametrize("version", [None, "1"])
@pytest.mark.parametrize("damage", [_remove, _cut])
def test_a_damaged_chunk_is_written_again_alone(
    source: Files, damage: Callable[[Path], None], version: str | None
) -> None:
    first = write(source, source_version=version)
    before, content = inodes(), snapshot(Path("out/train"))
    lost = sorted(Path("out/train/chunks").iterdir())[3]
    damage(lost)
    second = write(source, source_version=version)
    assert (second.chunks_written, second.fingerprint) == (1, first.fingerprint)
    after = inodes()
    changed = {name for name in chunks(before) if after[name] != before[name]}
    assert changed == {lost.relative_to("out/train").as_posix()}
    assert chunks(snapshot(Path("out/train"))) == chunks(content)
    check(source)


@pytest.mark.parametrize("name", ["dataset.json", "segment-*.npz"])
@pytest.mark.parametrize("damage", [_remove, _cut])
def test_a_dataset_with_a_damaged_manifest_is_written_anew(
    source: Files, name: str, damage: Callable[[Path], None]
) -> None:
    write(source)
    content = snapshot(Path("out/train"))
    (damaged,) = Path("out/train").glob(name)
    damage(damaged)
    write(source)
    assert snapshot(Path("out/train")) == content
    check(source)


def test_a_write_removes_what_others_left_unfinished_and_nothing_of_the_user(source: Files) -> None:
    folder = Path("out/train")
    left = [
        ".writing/0123456789abcdef/block-000000.npz",
        ".writing/0123456789abcdef/processor.pickle",
        f"chunks/{'0' * 32}.zip",
        f"segment-{'0' * 32}.npz",
        ".dataset.json.01234567.tmp",
    ]
    mine = ["notes.txt", "chunks/mine.zip", "segment-mine.npz", "below/0.zip"]
    for name in left + mine:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"left")
    info = write(source)
    there = snapshot(folder)
    assert {name for name in there if there[name] == b"left"} == set(mine)
    assert len(there) == len(mine) + info.chunks + 2
    assert not (folder / ".writing").exists()


def test_a_write_removes_the_unfinished_one_of_another_plan_before_it_begins(source: Files) -> None:
    lost = Path(source.paths[98])
    lost.rename("lost")
    for seed in (0, 1):
        with pytest.raises(SourceError, match=r"^sample 98, "):
            write(source, seed=seed)
    (plan,) = Path("out/train/.writing").iterdir()
    assert list(plan.glob("block-*.npz"))
    Path("lost").rename(lost)
    info = write(source, seed=1)
    assert 0 < info.chunks_written < info.chunks
    check(source)


def places(paths: Iterable[Path]) -> Disk:
    return [(stat.st_dev, stat.st_ino) for stat in map(os.stat, paths)]


def test_a_durable_write_syncs_every_file_and_folder_and_names_them_last(source: Files, synced: Disk) -> None:
    write(source, durable=True)
    folder = Path("out/train")
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    manifest, *rest = places(sorted(files, key=lambda path: path.name != "dataset.json"))
    folders = places([folder, folder / "chunks", folder.parent])
    assert set(rest + folders) <= set(synced[:-2])
    assert synced[-2:] == [manifest, folders[0]]


def test_a_durable_update_syncs_what_is_new(source: Files, synced: Disk) -> None:
    write(source)
    assert not synced
    before = set(inodes())
    source.paths += make_files(Path("source"), 5, first=COUNT)
    write(source, durable=True)
    new = places(Path("out/train", name) for name in inodes().keys() - before)
    assert len(new) == 2
    assert set(new) <= set(synced)
    old = places(Path("out/train", name) for name in before - {"dataset.json"})
    assert not set(old) & set(synced)
    synced.clear()
    write(source, durable=True)
    assert not synced


def test_a_progress_bar_is_drawn_on_standard_error_if_asked_for(
    source: Files, capfd: pytest.CaptureFixture[str]
) -> None:
    write_chunks(source, "quiet", "out", OPTIONS)
    write_chunks(source, "quiet", "out", replace(OPTIONS, seed=1), progress=False)
    assert capfd.readouterr() == ("", "")
    write_chunks(source, "train", "out", OPTIONS, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "Writing train" in err
    assert f"{COUNT}/{COUNT}" in err


def test_a_progress_bar_counts_what_this_call_writes(
    source: Files, capfd: pytest.CaptureFixture[str]
) -> None:
    write(source)
    source.paths += make_files(Path("source"), 5, first=COUNT)
    write_chunks(source, "train", "out", OPTIONS, progress=True)
    assert "5/5" in capfd.readouterr().err


ON_A_TERMINAL = """
from data_samples import Labels
from bench_data import WriteOptions, write_chunks
write_chunks(Labels(range(7)), "train", "out", WriteOptions(workers=1))
"""


def test_a_progress_bar_is_drawn_on_a_terminal() -> None:
    terminal, other = pty.openpty()
    with os.fdopen(terminal, "rb", buffering=0) as stream:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "TERM": "xterm"}
        subprocess.run([sys.executable, "-c", ON_A_TERMINAL], stderr=other, env=environment, check=True)
        os.close(other)
        seen = b""
        with contextlib.suppress(OSError):  # EIO: the terminal's last writer has gone
            while piece := stream.read(4096):
                seen += piece
    assert b"Writing train" in seen
    assert b"7/7" in seen


class Small(Files):
    write_options = WriteOptions(workers=1, chunk_bytes=20 << 10, order="source", durable=False)


def test_the_options_of_the_processor_are_taken_unless_others_are_given(source: Files) -> None:
    write(source, "small", **asdict(Small.write_options))
    write_chunks(Small(source.paths), "train", "out")
    assert chunks(snapshot(Path("out/train"))) == chunks(snapshot(Path("out/small")))
    info = write_chunks(Small(source.paths), "train", "out", OPTIONS)
    assert (info.chunks_written, info.fingerprint) == (info.chunks, write(source, "usual").fingerprint)


def test_a_write_says_what_is_on_the_disk(source: Files) -> None:
    info = write(source)
    fields = asdict(info)
    assert fields.pop("chunks_written") == info.chunks
    assert 0 < fields.pop("seconds") < 60
    assert fields.pop("uploaded") is None
    assert fields == asdict(dataset_info(info.path))
    sizes = [path.stat().st_size for path in Path("out/train/chunks").iterdir()]
    assert (info.path, info.samples, info.segments) == (Path.cwd() / "out/train", COUNT, 1)
    assert (info.bytes, info.chunks, info.with_files) == (sum(sizes), len(sizes), True)
    assert (info.schema, info.schema_text) == ({"kind": "int"}, "int")
    manifest = json.loads(Path("out/train/dataset.json").read_text())
    assert (info.fingerprint, info.source_digest) == (manifest["fingerprint"], manifest["source_digest"])
