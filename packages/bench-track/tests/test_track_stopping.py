"""SIGTERM: a training that saves checkpoints saves once more, and ends."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from bench_data import ChunkDataset, ProcessorDataset, loader, process_datasets
from bench_track.checkpoint_folder import Checkpoint
from bench_track.checkpoints import Checkpoints

HEAD = """
import bench_track, os, signal, sys, time, torch
run = bench_track.init()
"""

Begin = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Begins a training in a process group of its own, and returns when it has said `up`."""
    monkeypatch.setenv("BENCH_TRACK", str(tmp_path / "track"))
    monkeypatch.setenv("BENCH_OUTPUT", str(tmp_path / "output"))
    trainings: list[subprocess.Popen[str]] = []

    def begin(script: str, **environment: str) -> "subprocess.Popen[str]":
        path = tmp_path / "train.py"
        path.write_text(HEAD + script)
        training = subprocess.Popen(
            [sys.executable, str(path)],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        trainings.append(training)
        assert training.stdout is not None
        assert training.stdout.readline() == "up\n", training.communicate(timeout=300)[1]
        return training

    yield begin
    for training in trainings:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(training.pid, signal.SIGKILL)
        training.communicate()


def end(training: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Exit code, output and errors."""
    out, errors = training.communicate(timeout=300)
    return training.returncode, out, errors


def newest(tmp_path: Path) -> Checkpoint:
    found = Checkpoints(tmp_path / "output" / "checkpoints").newest()
    assert found is not None
    return found


@pytest.mark.parametrize(
    "asked", ["run.checkpoint({'at': step}, step=step, every=1_000_000)", "if run.is_stopping: save()"]
)
def test_a_training_that_asks_at_each_step_saves_that_step(begin: Begin, tmp_path: Path, asked: str) -> None:
    training = begin(f"""
def save():
    run.checkpoint({{"at": step}}, step=step)
    print("never")

try:
    for step in range(1_000_000):
        {asked}
        if step == 10:
            print("up", flush=True)
        time.sleep(0.001)
finally:
    print(step)
""")
    training.send_signal(signal.SIGTERM)
    code, out, errors = end(training)
    assert (code, errors) == (143, "")
    checkpoint = newest(tmp_path)
    assert checkpoint.step == int(out) > 10
    assert torch.load(checkpoint.path) == {"at": checkpoint.step}


def test_it_goes_on_to_the_next_checkpoint_where_that_is_near(begin: Begin, tmp_path: Path) -> None:
    training = begin("""
for step in range(3):
    time.sleep(0.5)
    run.checkpoint({}, step=step)
    if step == 1:
        print("up", flush=True)
print("never")
""")
    training.send_signal(signal.SIGTERM)
    assert end(training) == (143, "", "")
    assert newest(tmp_path).step == 2


def test_it_ends_at_once_where_that_is_far_and_finishes_what_it_writes(begin: Begin, tmp_path: Path) -> None:
    training = begin(
        """
time.sleep(0.2)
try:
    run.checkpoint({"x": torch.ones(10_000_000)}, step=5)
    print("up", flush=True)
    time.sleep(600)
finally:
    print("cleaned up")
""",
        BENCH_GRACE_SECONDS="0.1",
    )
    training.send_signal(signal.SIGTERM)
    assert end(training) == (143, "cleaned up\n", "")
    assert newest(tmp_path).step == 5


def test_a_second_signal_ends_it_whatever_it_does(begin: Begin) -> None:
    training = begin("""
run.is_stopping
print("up", flush=True)
while not run.is_stopping:
    time.sleep(0.01)
print("stopping", flush=True)
time.sleep(600)
""")
    training.send_signal(signal.SIGTERM)
    assert training.stdout is not None
    assert training.stdout.readline() == "stopping\n"
    while training.poll() is None:  # those right after the first are one with it
        training.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    assert end(training)[0] == -signal.SIGTERM


def test_signals_that_come_together_are_one(begin: Begin, tmp_path: Path) -> None:
    """As where a cluster manager signals all processes, and the launcher hands its own on to them."""
    begin("""
run.is_stopping
os.kill(os.getpid(), signal.SIGTERM)
os.kill(os.getpid(), signal.SIGTERM)
print("up", flush=True)
run.checkpoint({}, step=3)
""").wait(timeout=300)
    assert newest(tmp_path).step == 3


def test_one_that_comes_within_a_checkpoint_lets_it_be_made(begin: Begin, tmp_path: Path) -> None:
    training = begin(
        """
class Slow:
    def state_dict(self):
        os.kill(os.getpid(), signal.SIGTERM)
        return {"slow": True}
time.sleep(0.2)
print("up", flush=True)
run.checkpoint({"part": Slow()}, step=7)
print("never")
""",
        BENCH_GRACE_SECONDS="0.1",
    )
    assert end(training) == (143, "", "")
    assert torch.load(newest(tmp_path).path) == {"part": {"slow": True}}


def test_one_before_that_failed_is_said_and_the_last_is_saved(begin: Begin, tmp_path: Path) -> None:
    training = begin("""
root = run.checkpoint_root
root.parent.mkdir()
root.symlink_to(root.parent / "later")  # nothing can be written there yet
run.checkpoint({"at": 1}, step=1)
while run._checkpoints._thread.is_alive():
    time.sleep(0.01)
root.unlink()
run.is_stopping
os.kill(os.getpid(), signal.SIGTERM)
print("up", flush=True)
run.checkpoint({"at": 2}, step=2)
""")
    code, _, errors = end(training)
    assert (code, newest(tmp_path).step) == (143, 2)
    assert "the checkpoint of step 1 could not be written" in errors
    assert "Traceback" not in errors


def test_a_checkpoint_of_another_thread_ends_the_script(begin: Begin, tmp_path: Path) -> None:
    training = begin("""
import threading
def train():
    for step in range(1_000_000):
        run.checkpoint({}, step=step, every=1_000_000)
        if step == 3:
            print("up", flush=True)
        time.sleep(0.01)
run.is_stopping  # Python lets the main thread alone take a signal
thread = threading.Thread(target=train)
thread.start()
thread.join()
time.sleep(600)
""")
    training.send_signal(signal.SIGTERM)
    assert end(training) == (143, "", "")
    assert len(list((tmp_path / "output" / "checkpoints").iterdir())) == 1


def test_a_run_that_another_thread_finished_takes_it_no_more(begin: Begin, tmp_path: Path) -> None:
    finished = """
import threading
run.is_stopping
thread = threading.Thread(target=run.finish)
thread.start()
thread.join()
"""
    training = begin(f"{finished}\nrun.is_stopping\nprint('up', flush=True)\ntime.sleep(600)")
    training.send_signal(signal.SIGTERM)
    assert end(training)[0] == -signal.SIGTERM

    begin(f"""{finished}
run = bench_track.init()
run.is_stopping
os.kill(os.getpid(), signal.SIGTERM)
print("up", flush=True)
run.checkpoint({{}}, step=4)
""").wait(timeout=300)
    assert newest(tmp_path).step == 4


@pytest.mark.parametrize(
    ("before", "after"),
    [("signal.signal(signal.SIGTERM, own)", ""), ("", "signal.signal(signal.SIGTERM, own)")],
)
def test_a_handler_of_the_script_is_left_to_it(begin: Begin, before: str, after: str) -> None:
    training = begin(f"""
def own(*_):
    print("own", run.is_stopping)
    os._exit(5)
{before}
run.checkpoint({{}}, step=1)
{after}
print("up", flush=True)
time.sleep(600)
""")
    training.send_signal(signal.SIGTERM)
    assert training.wait(timeout=300) == 5


def test_without_checkpoints_and_after_the_run_the_signal_is_not_taken(begin: Begin) -> None:
    for script in ("run.log({'a': 1})", "run.checkpoint({}, step=1); run.finish()"):
        training = begin(f"{script}\nprint('up', flush=True)\ntime.sleep(600)")
        training.send_signal(signal.SIGTERM)
        assert end(training)[0] == -signal.SIGTERM


def test_a_forked_child_ends_as_others_do(begin: Begin) -> None:
    training = begin("""
run.is_stopping
child = os.fork()
if not child:
    print("up", flush=True)
    time.sleep(600)
time.sleep(0.5)
os.kill(child, signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), run.is_stopping)
""")
    assert end(training) == (0, "-15 False\n", "")


def test_elsewhere_the_run_was_stopped(begin: Begin, tmp_path: Path) -> None:
    training = begin(
        """
for step in range(1_000_000):
    run.checkpoint({}, step=step, every=1_000_000)
    if step == 2:
        print("up", flush=True)
    time.sleep(0.001)
""",
        BENCH_TRACK="",
        BENCH_TRACK_ROOT=str(tmp_path / "tracks"),
    )
    training.send_signal(signal.SIGTERM)
    assert end(training) == (143, "", "")
    (folder,) = (tmp_path / "tracks").iterdir()
    said: dict[str, Any] = json.loads((folder / "end.json").read_bytes())
    assert (said["state"], said["exit_code"]) == ("stopped", 143)


class Numbers(ProcessorDataset):
    def __len__(self) -> int:
        return 4000

    def get_label_and_numeric_data(self, item: int) -> int:
        return item


def test_a_whole_group_with_the_workers_of_a_loader(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Launchers signal all processes; the workers give the batches that are left."""
    monkeypatch.setenv("BENCH_DATA_ROOT", str(tmp_path / "data"))
    process_datasets(Numbers(), ChunkDataset, "numbers")
    training = begin("""
from bench_data import ChunkDataset, loader
batches = loader(ChunkDataset("numbers"), batch_size=4, num_workers=2, seed=3)
for step, batch in enumerate(batches):
    if step == 5:
        print("up", flush=True)
    time.sleep(0.02)
    if step % 25 == 0:
        run.checkpoint({"loader": batches, "seen": batch}, step=step)
""")
    time.sleep(0.1)
    os.killpg(training.pid, signal.SIGTERM)
    time.sleep(0.2)
    os.killpg(training.pid, signal.SIGTERM)  # as torchrun hands on what all have had already
    code, _, errors = end(training)
    assert (code, errors) == (143, "")
    checkpoint = newest(tmp_path)
    assert checkpoint.step >= 25
    state = torch.load(checkpoint.path)
    batches = loader(ChunkDataset("numbers"), batch_size=4, seed=3)
    order = [batch.tolist() for batch in batches]
    assert state["seen"].tolist() == order[checkpoint.step]
    batches.load_state_dict(state["loader"])
    assert [batch.tolist() for batch in batches] == order[checkpoint.step + 1 :]
