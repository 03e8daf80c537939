"""Processes that die, run out of room, or save at the same time."""

import resource
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from bench_track.checkpoints import Checkpoints
from bench_track.errors import CheckpointError

SCRIPT = Path(__file__).with_name("checkpoint_crash_script.py")


def python(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("kind", ["dict", "folder"])
def test_killed_at_any_point_what_is_offered_is_whole(tmp_path: Path, kind: str) -> None:
    points = int(python(str(SCRIPT), str(tmp_path / "base"), kind))
    assert points > 10


def test_a_full_disk_is_said_and_costs_no_older_one(tmp_path: Path) -> None:
    script = """
        import resource, signal, sys, torch
        from bench_track.checkpoints import Checkpoints
        from bench_track.errors import CheckpointError
        from bench_track.keeping import Keeping

        checkpoints = Checkpoints(sys.argv[1], keeping=Keeping(last=1))
        checkpoints.save({"x": torch.ones(10)}, step=1)
        checkpoints.wait()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))  # as if no more had room
        large = {"x": torch.ones(1_000_000)}
        checkpoints.save(large, step=2)  # the write fails behind this call
        for call in (lambda: checkpoints.save(large, step=3), checkpoints.wait):
            try:
                call()
            except CheckpointError as error:
                print(error.message)
        checkpoints.save({"x": torch.ones(10)}, step=4)
        checkpoints.wait()
        print(checkpoints.newest().step)
    """
    said = python("-c", textwrap.dedent(script), str(tmp_path))
    assert (
        said
        == "".join(f"the checkpoint of step {n} could not be written: File too large\n" for n in (2, 3))
        + "4\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000004"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A disk of 2 MiB; where none may be mounted, a folder, and the size that no file on it may exceed."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "bench-track-test", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        yield tmp_path, 2 << 20
        return
    yield tmp_path, resource.RLIM_INFINITY
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


@pytest.mark.parametrize("kind", ["dict", "file"])
def test_what_is_saved_behind_a_failure_is_saved(small_disk: tuple[Path, int], kind: str) -> None:
    """Also by a script that the failure ends."""
    disk, limit = small_disk
    script = """
        import pathlib, resource, signal, sys, torch
        from bench_track.checkpoints import Checkpoints

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
        disk, kind = pathlib.Path(sys.argv[1]), sys.argv[2]
        checkpoints = Checkpoints(disk / "saved")
        checkpoints.save({"x": torch.ones(10)}, step=1)
        checkpoints.save({"x": torch.ones(1_000_000)}, step=2)
        (disk / "source").write_bytes(b"now")
        checkpoints.save({"x": torch.ones(100_000)} if kind == "dict" else disk / "source", step=3)
    """
    words = [sys.executable, "-c", textwrap.dedent(script), str(disk), kind, str(limit)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "CheckpointError: the checkpoint of step 2 could not be written: " in done.stderr
    saved = sorted(path.name for path in (disk / "saved").iterdir())
    assert saved == ["step-000000001", "step-000000003"]
    resumed = Checkpoints(disk / "saved").resume()
    assert resumed is not None
    assert resumed.step == 3


def test_a_failure_is_said_though_the_next_cannot_be_made(tmp_path: Path) -> None:
    root = tmp_path / "saved"
    root.symlink_to(tmp_path / "later")  # nothing can be written there yet
    checkpoints = Checkpoints(root)
    checkpoints.save({"x": 1}, step=1)
    with pytest.raises(CheckpointError, match="cannot be saved"):
        checkpoints.save({"x": lambda: None}, step=2)
    root.unlink()
    with pytest.raises(CheckpointError, match="step 1 could not be written"):
        checkpoints.save({"x": 3}, step=3)
    checkpoints.wait()
    newest = checkpoints.newest()
    assert newest is not None
    assert newest.step == 3


def test_two_processes_save_at_the_same_time(tmp_path: Path) -> None:
    script = """
        import sys, torch
        from bench_track.checkpoints import Checkpoints
        from bench_track.keeping import Keeping

        checkpoints = Checkpoints(sys.argv[1], keeping=Keeping(last=3))
        for step in range(30):
            checkpoints.save({"x": torch.full((10_000,), float(step))}, step=step)
        checkpoints.wait()
    """
    words = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    writers = [subprocess.Popen(words, stderr=subprocess.PIPE) for _ in range(2)]
    for writer in writers:
        _, said = writer.communicate(timeout=300)
        assert writer.returncode == 0, said.decode()[-3000:]
    resumed = Checkpoints(tmp_path).resume()
    assert resumed is not None
    assert resumed.step == 29
    assert torch.equal(resumed["x"], torch.full((10_000,), 29.0))
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert len(list(tmp_path.iterdir())) <= 3


def test_a_script_that_ends_finishes_what_it_saves(tmp_path: Path) -> None:
    script = """
        import sys, torch
        from bench_track.checkpoints import Checkpoints

        Checkpoints(sys.argv[1]).save({"x": torch.ones(5_000_000)}, step=7)
    """
    python("-c", textwrap.dedent(script), str(tmp_path))
    newest = Checkpoints(tmp_path).newest()
    assert newest is not None
    assert newest.step == 7
