"""Checkpoints of a run: noted, kept, gone on from."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bench_track
import pytest
import torch
from bench_track import CheckpointError, Run, TrackError, ValueLogError
from bench_track.resumed import Resumed
from spool_reading import notes
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_TRACK", str(tmp_path / "track"))
    monkeypatch.setenv("BENCH_OUTPUT", str(tmp_path / "output"))
    return tmp_path / "track"


@pytest.fixture
def run(spool: Path) -> Iterator[Run]:
    with bench_track.init(config={"lr": 0.1}) as made:
        yield made


def steps(root: Path) -> list[int]:
    return sorted(int(path.name.split("-")[1]) for path in root.iterdir())


def resumed(**options: Any) -> Resumed:
    """What the next attempt gets."""
    with bench_track.init(**options) as run:
        found = run.resume()
    assert found is not None
    return found


def test_what_is_saved_is_noted_and_gone_on_from(run: Run, spool: Path, tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 1)
    for step, metric in ((10, 0.5), (20, torch.tensor(0.75)), (30, None), (40, 0.25)):
        run.checkpoint({"model": model, "at": step}, step=step, metric=metric)
    run.finish()
    assert run.checkpoint_root == tmp_path / "output" / "checkpoints"
    assert steps(run.checkpoint_root) == [20, 30, 40]
    noted = notes(spool, "checkpoint")
    assert [note["best"] for note in noted] == [True, True, False, False]
    size = (run.checkpoint_root / "step-000000040" / "state.pt").stat().st_size
    assert noted[-1] == {
        "name": "step-000000040",
        "path": str(run.checkpoint_root / "step-000000040"),
        "step": 40,
        "metric": 0.25,
        "best": False,
        "bytes": size,
        "files": 1,
    }
    assert notes(spool, "checkpoint_removed") == [{"name": "step-000000010"}]

    with bench_track.init() as again:
        state = again.resume()
        assert state is not None
        assert (state.step, state.metric, state["at"]) == (40, 0.25, 40)
        assert torch.equal(state["model"]["weight"], model.weight)
        assert state.checkpoint.config == {"lr": 0.1}
        assert state.checkpoint.models == {"model": {"class": "torch.nn.modules.linear:Linear"}}
        again.checkpoint({"at": 1})
        again.finish()
        assert steps(again.checkpoint_root) == [20, 30, 40]  # the step that was resumed from, made anew
        assert {"name": "step-000000040"} in notes(spool, "checkpoint_removed")


def test_the_step_is_the_last_that_was_logged(run: Run) -> None:
    assert run.resume() is None
    run.log({"loss": 1.0}, step=7)
    run.checkpoint({})
    run.finish()
    assert steps(run.checkpoint_root) == [7]


def test_every_so_many_steps(run: Run) -> None:
    for step in range(10):
        run.checkpoint({"at": step}, step=step, every=4)
    run.finish()
    assert steps(run.checkpoint_root) == [4, 8]


def test_what_is_kept_may_be_said_at_any_time(run: Run) -> None:
    assert bench_track.init(keep_last=1, better="min") is run
    for step, metric in enumerate([0.3, 0.1, 0.2, 0.4]):
        run.checkpoint({}, step=step, metric=metric)
    run.finish()
    assert steps(run.checkpoint_root) == [1, 3]
    with pytest.raises(CheckpointError, match="keep_last=0"):
        bench_track.init(keep_last=0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"step": -1}, ValueLogError, "step"),
        ({"step": "1"}, ValueLogError, "step"),
        ({"metric": "good"}, ValueLogError, "metric"),
        ({"metric": torch.ones(2)}, ValueLogError, "metric"),
        ({"every": 0}, CheckpointError, "every=0"),
        ({"every": "5"}, CheckpointError, "every='5'"),
        ({"every": 2.5}, CheckpointError, "every=2.5"),
        ({"every": 2, "metric": 0.5}, CheckpointError, "metric=0.5"),
        ({"builders": {"model": (print, {})}}, CheckpointError, "builders"),
        ({"state": [1]}, CheckpointError, "list"),
        ({"state": "absent"}, CheckpointError, "absent"),
        ({"state": {"lambda": lambda: None}}, CheckpointError, "cannot be saved"),
    ],
)
def test_what_cannot_be_saved(run: Run, options: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        run.checkpoint(**{"state": {}, "step": 2, **options})
    run.finish()
    assert not run.checkpoint_root.exists() or steps(run.checkpoint_root) == []
    with pytest.raises(TrackError, match="finished"):
        run.checkpoint({})


def test_rank_0_saves_and_all_ranks_gather(spool: Path) -> None:
    class Sharded:
        gathered = 0

        def state_dict(self) -> dict[str, int]:
            self.gathered += 1
            return {}

    sharded = Sharded()
    with bench_track.init(rank=1, all_ranks=True) as run:
        run.checkpoint({"model": sharded}, step=1)
        run.checkpoint(spool, step=1)
    assert sharded.gathered == 1
    assert not run.checkpoint_root.exists()
    with bench_track.init() as run:
        run.checkpoint({"model": sharded}, step=1)
    with bench_track.init(rank=1) as run:
        found = run.resume()
    assert found is not None
    assert found.step == 1


def test_elsewhere_a_run_begins_anew_unless_it_is_given_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCH_TRACK", raising=False)
    monkeypatch.delenv("BENCH_OUTPUT", raising=False)
    monkeypatch.setenv("BENCH_TRACK_ROOT", str(tmp_path / "tracks"))
    monkeypatch.chdir(tmp_path)
    for options in ({}, {"checkpoints": "kept"}):
        with bench_track.init(**options) as run:  # type: ignore[arg-type]
            assert run.resume() is None
            run.checkpoint({}, step=3)
            root = run.checkpoint_root
        with bench_track.init(**options) as again:  # type: ignore[arg-type]
            assert (again.checkpoint_root == root) == bool(options)
            assert (again.resume() is None) == (not options)
    assert (tmp_path / "kept" / "step-000000003" / "checkpoint.json").exists()


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_a_folder_of_torch_distributed(run: Run, tmp_path: Path) -> None:
    model = torch.nn.Linear(4, 2)
    save({"model": model.state_dict()}, checkpoint_id=tmp_path / "dcp", no_dist=True)
    run.checkpoint(tmp_path / "dcp", step=5)
    run.finish()
    other = {"model": torch.nn.Linear(4, 2).state_dict()}
    load(other, checkpoint_id=resumed().path, no_dist=True)
    assert torch.equal(other["model"]["weight"], model.weight)


def test_a_full_disk_is_said_at_the_end(spool: Path, tmp_path: Path) -> None:
    script = """
import bench_track, resource, signal, torch
run = bench_track.init()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))  # as if no more had room
run.checkpoint({"x": torch.ones(1_000_000)}, step=2)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (
        0,
        "bench_track: the checkpoint of step 2 could not be written: File too large\n",
    )
    assert notes(spool, "checkpoint") == []
    assert steps(tmp_path / "output" / "checkpoints") == []
