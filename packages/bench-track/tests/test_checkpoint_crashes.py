"""Processes that die, run out of room, or save at the same time."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from bench_track.checkpoints import Checkpoints

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
    assert said == "the checkpoint of step 2 could not be written: File too large\n4\n"
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000004"]


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
