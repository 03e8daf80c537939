"""Processes that are killed or interrupted: a clear error, no stray process, and the write goes on."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import process_tools
import psutil
import pytest
from bench_data import WriteOptions, verify, write_chunks
from bench_data.errors import WorkerLostError
from bench_data.info import WriteInfo
from data_samples import Files, make_files, snapshot
from filelock import FileLock

COUNT = 300


def _is_shipped() -> bool:
    """Whether workers are at work. Not by a glob: Ctrl-C would leave its iterator open, which warns."""
    folder = "out/train/.writing"
    plans = os.listdir(folder) if os.path.isdir(folder) else []
    return any(os.path.exists(f"{folder}/{plan}/processor.pickle") for plan in plans)


class Meeting(Files):
    """Once blocks are written, the processes wait for each other, so that all are at work together."""

    processes = 1

    def get_label_and_numeric_data(self, item: int) -> int:
        if _is_shipped():
            Path("met", str(os.getpid())).touch()
            process_tools.wait_until(lambda: len(os.listdir("met")) >= self.processes, "the meeting")
        return int(super().get_label_and_numeric_data(item))


def source(processes: int) -> Meeting:
    processor = Meeting(sorted(str(path) for path in Path("source").iterdir()))
    processor.processes = processes
    return processor


def write(name: str, workers: int) -> WriteInfo:
    """Write about 34 chunks."""
    options = WriteOptions(workers=workers, chunk_bytes=32 << 10, durable=False)
    return write_chunks(source(workers), name, "out", options)


@pytest.fixture
def fresh() -> WriteInfo:
    """The same written without a stop."""
    make_files(Path("source"), COUNT)
    Path("met").mkdir()
    return write("fresh", 1)


ZYGOTE = """
import os, signal, sys
import loky, bench_data.writer, test_crashes
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    workers, folder = line.rstrip("\\n").split(" ", 1)
    if not os.fork():
        try:
            os.setsid()
            os.chdir(folder)
            print(os.getpid(), flush=True)
            test_crashes.write("train", int(workers))
        finally:
            os._exit(0)
"""
"""Starts writers by fork, so that each needs no time to import."""


@pytest.fixture(scope="module")
def zygote() -> Iterator[subprocess.Popen[str]]:
    with process_tools.ended(process_tools.start(ZYGOTE, stdin=subprocess.PIPE)) as process:
        yield process


def _progress() -> int:
    """Chunks and receipts that the write has made so far, and its manifest."""
    made = ("chunks/*.zip", ".writing/*/block-*.npz", "dataset.json")
    return sum(len(list(Path("out/train").glob(pattern))) for pattern in made)


def _resumes_like(fresh: WriteInfo, workers: int = 1) -> WriteInfo:
    info = write("train", workers)
    assert info.fingerprint == fresh.fingerprint
    assert snapshot(Path("out/train")) == snapshot(Path("out/fresh"))
    assert not Path("out/train/.writing").exists()
    return info


@pytest.mark.parametrize(("seed", "workers"), [(seed, 2 if seed % 8 == 0 else 1) for seed in range(20)])
def test_a_writer_killed_at_any_moment_goes_on_to_the_same_bytes(
    fresh: WriteInfo, zygote: subprocess.Popen[str], seed: int, workers: int
) -> None:
    until = random.Random(seed).randrange(2 * fresh.chunks)
    assert zygote.stdin is not None
    print(workers, os.getcwd(), file=zygote.stdin, flush=True)
    writer = int(process_tools.read_line(zygote.stdout))
    process_tools.wait_until(
        lambda: _progress() >= until or not psutil.pid_exists(writer), f"progress of {until}"
    )
    for process in process_tools.session(writer):
        process.kill()
    process_tools.wait_until(lambda: not process_tools.session(writer), "the end of all processes")
    with FileLock("out/train/.lock", timeout=process_tools.PATIENCE):
        pass  # a killed process counts as gone while its last threads still hold the lock
    chunks_there = len(list(Path("out/train/chunks").glob("*.zip")))
    info = _resumes_like(fresh)
    assert fresh.chunks - chunks_there <= info.chunks_written <= fresh.chunks - until // 2 + workers
    assert verify("out/train").ok
    assert write("train", 1).chunks_written == 0


class Killed(Files):
    """The first worker process that takes a sample is killed; the process that started it goes on slowly."""

    parent = os.getpid()
    delay = 0.0

    def get_label_and_numeric_data(self, item: int) -> int:
        if _is_shipped():
            if os.getpid() != self.parent:
                Path("killed").write_text(repr(time.monotonic()))
                os.kill(os.getpid(), signal.SIGKILL)
            process_tools.wait_until(Path("killed").exists, "the kill")
            time.sleep(self.delay)
        return int(super().get_label_and_numeric_data(item))


@pytest.mark.parametrize(("chunk_bytes", "delay"), [(32 << 10, 0.0), (400 << 10, 0.1)])
def test_a_killed_worker_is_reported_within_five_seconds_with_its_block(
    fresh: WriteInfo, chunk_bytes: int, delay: float
) -> None:
    processor = Killed(source(1).paths)
    processor.parent, processor.delay = os.getpid(), delay
    options = WriteOptions(workers=2, chunk_bytes=chunk_bytes, durable=False)
    with pytest.raises(
        WorkerLostError, match=r"^a worker process was killed while it wrote block 0\b"
    ) as caught:
        write_chunks(processor, "train", "out", options)
    assert time.monotonic() - float(Path("killed").read_text()) < 5
    assert "the same call goes on" in str(caught.value)
    assert not Path("out/train/dataset.json").exists()
    if chunk_bytes == 32 << 10:
        _resumes_like(fresh)


INTERRUPTED = """
import sys
import test_crashes
try:
    test_crashes.write("train", int(sys.argv[1]))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_stops_cleanly_and_the_write_goes_on(fresh: WriteInfo, workers: int) -> None:
    with process_tools.ended(process_tools.start(INTERRUPTED, workers)) as process:
        process_tools.wait_until(lambda: _progress() >= 5, "progress")
        process_tools.kill_group(process, signal.SIGINT)
        out, err = process.communicate(timeout=process_tools.PATIENCE)
        assert (process.returncode, out, err) == (0, "interrupted\n", "")
        process_tools.wait_until(lambda: not process_tools.session(process.pid), "the end of all processes")
    assert not Path("out/train/dataset.json").exists()
    assert 0 < _resumes_like(fresh).chunks_written < fresh.chunks


def test_an_interrupt_right_after_a_chunk_was_closed_stops_cleanly(
    fresh: WriteInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = os.close

    def interrupted(descriptor: int) -> None:
        is_chunk = os.fstat(descriptor).st_size > 16 << 10
        close(descriptor)
        if is_chunk and _progress() >= 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "close", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write("train", 1)
    assert 0 < _resumes_like(fresh).chunks_written < fresh.chunks


LOADED = """
import time
import bench_data

class Slow(bench_data.ChunkDataset):
    def __getitem__(self, item):
        open(f"met/{item}", "w").close()
        time.sleep(60)

try:
    bench_data.process_datasets(__import__("data_samples").Labels(range(100)), Slow, "train", "out")
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_an_interrupt_of_a_loading_test_stops_cleanly() -> None:
    Path("met").mkdir()
    with process_tools.ended(process_tools.start(LOADED)) as process:
        process_tools.wait_until(lambda: len(os.listdir("met")) == 2, "work in both workers")
        process_tools.kill_group(process, signal.SIGINT)
        out, err = process.communicate(timeout=process_tools.PATIENCE)
        assert (process.returncode, out, len(err.splitlines())) == (0, "interrupted\n", 1), err
        process_tools.wait_until(lambda: not process_tools.session(process.pid), "the end of all processes")


def test_an_interrupt_while_workers_start_stops_cleanly(fresh: WriteInfo) -> None:
    with process_tools.ended(process_tools.start(INTERRUPTED, 3)) as process:
        process_tools.wait_until(lambda: len(process_tools.session(process.pid)) > 2, "the first worker")
        process_tools.kill_group(process, signal.SIGINT)
        out, _ = process.communicate(timeout=process_tools.PATIENCE)
        assert (process.returncode, out) == (0, "interrupted\n")
        process_tools.wait_until(lambda: not process_tools.session(process.pid), "the end of all processes")
    _resumes_like(fresh)


def test_workers_end_when_the_process_that_started_them_is_killed(fresh: WriteInfo) -> None:
    with process_tools.ended(process_tools.start(INTERRUPTED, 2)) as process:
        process_tools.wait_until(lambda: _progress() >= 5, "progress")
        process.kill()
        process_tools.wait_until(lambda: not process_tools.session(process.pid), "the end of all processes")
    _resumes_like(fresh)
