"""Checkpoints of a run, fetched from a real server that is killed meanwhile."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_tools import Server, running_server
from bench_auth import AuthError, NotPossibleError, UnreachableError
from bench_core import read_project
from bench_deploy import (
    Checkpoint,
    CheckpointError,
    CheckpointPlace,
    ProjectTracks,
    Run,
    SubmitOptions,
    choose_checkpoint,
    submit_run,
)
from checkpoint_tools import contents
from run_driver import Driver, running_driver


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture(scope="module")
def driver(server: Server) -> Iterator[Driver]:
    with running_driver(server.data) as made:
        yield made


@pytest.fixture
def folder(server: Server, tmp_path: Path) -> Path:
    toml = f'[project]\nid = "{server.create_project()}"\nname = "p"\nendpoint = "{server.endpoint}"\n'
    (tmp_path / "bench.toml").write_text(toml)
    (tmp_path / "TrainScript.py").write_text("print('training')\n")
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    return submit_run(folder, SubmitOptions(say=lambda _: None))


@pytest.fixture
def tracks(folder: Path) -> ProjectTracks:
    return ProjectTracks(read_project(folder))


def where_it_lies(server: Server, run: Run, name: str) -> Path:
    return server.data / "runs" / run.run_id / "output" / "checkpoints" / name


def test_one_is_chosen_and_fetched_whole(
    server: Server, driver: Driver, run: Run, tracks: ProjectTracks, tmp_path: Path
) -> None:
    driver.checkpoint(run.name, 10, {"weights.bin": "best" * 500_000, "empty": ""}, 0.9, True)
    driver.checkpoint(run.name, 30, {"weights.bin": "late"}, 0.5, False)
    driver.checkpoint(run.name, 20, {"weights.bin": "last"}, None, False)
    listed = list(tracks.checkpoints(run.run_id))
    assert [(one.step, one.metric, one.is_best, one.place) for one in listed] == [
        (10, 0.9, True, CheckpointPlace.SERVER),
        (20, None, False, CheckpointPlace.SERVER),
        (30, 0.5, False, CheckpointPlace.SERVER),
    ]
    chosen = {name: choose_checkpoint(listed, name) for name in ("newest", "best", "step-000000030")}
    assert [one.step for one in chosen.values()] == [20, 10, 30]
    for name, one in chosen.items():
        target = tmp_path / "here" / name
        assert tracks.download_checkpoint(run.run_id, one, target) == (2 if name == "best" else 1)
        assert contents(target) == contents(where_it_lies(server, run, one.name))


def test_it_is_fetched_over_a_restart(
    server: Server, driver: Driver, run: Run, tracks: ProjectTracks, tmp_path: Path
) -> None:
    driver.checkpoint(run.name, 1, {"weights.bin": "weights " * 500_000}, None, False)
    [one] = tracks.checkpoints(run.run_id)
    server.kill()
    starting = threading.Timer(0.5, server.start)
    starting.start()
    noticed: list[AuthError | None] = []
    tracks.download_checkpoint(run.run_id, one, tmp_path / "mine", noticed.append)
    starting.join()
    assert contents(tmp_path / "mine") == contents(where_it_lies(server, run, one.name))
    assert [type(notice) for notice in noticed] == [UnreachableError, type(None)]


def test_one_that_is_torn_or_gone_is_refused(
    server: Server, driver: Driver, run: Run, tracks: ProjectTracks, tmp_path: Path
) -> None:
    driver.checkpoint(run.name, 1, {"weights.bin": "weights"}, None, False)
    [one] = tracks.checkpoints(run.run_id)
    there = where_it_lies(server, run, one.name)
    (there / "weights.bin").write_text("weight")
    with pytest.raises(CheckpointError, match=r"weights.bin is torn"):
        tracks.download_checkpoint(run.run_id, one, tmp_path / "here" / "mine")
    (there / "weights.bin").write_text("weightS")
    with pytest.raises(CheckpointError, match=r"weights.bin is not what the training wrote"):
        tracks.download_checkpoint(run.run_id, one, tmp_path / "here" / "mine")
    shutil.rmtree(there)
    with pytest.raises(NotPossibleError, match="does not have the checkpoint"):
        tracks.download_checkpoint(run.run_id, one, tmp_path / "here" / "mine")
    assert contents(tmp_path / "here") == {}
    assert list((tmp_path / "here").iterdir()) == []
    [listed] = tracks.checkpoints(run.run_id)
    assert listed.place is CheckpointPlace.GONE


def checkpoint(step: int, **fields: Any) -> Checkpoint:
    import datetime

    when = datetime.datetime.fromtimestamp(1_700_000_000 - step, datetime.timezone.utc)
    known: dict[str, Any] = {
        "attempt_number": 1,
        "name": f"step-{step}",
        "path": "",
        "step": step,
        "metric": None,
        "is_best": False,
        "size_bytes": 0,
        "place": CheckpointPlace.SERVER,
        "write_time": when,
        "create_time": when,
    }
    return Checkpoint(**{**known, **fields})


def test_what_a_name_stands_for() -> None:
    elsewhere = checkpoint(1, place=CheckpointPlace.ELSEWHERE, is_best=True)
    older, newer = checkpoint(3, is_best=True), checkpoint(2)
    everything = [elsewhere, newer, older]
    assert choose_checkpoint(everything, "newest") is newer
    assert choose_checkpoint(everything, "best") is older
    assert choose_checkpoint(everything, "step-1") is elsewhere
    for listed, name, message in (
        ([], "newest", "no checkpoint of the run is on the server"),
        ([elsewhere], "best", "no checkpoint of the run is on the server"),
        ([newer], "best", "none of the run's 1 checkpoints on the server is said to be the best"),
        ([newer], "step-9", "the run has no checkpoint 'step-9'"),
    ):
        with pytest.raises(CheckpointError) as caught:
            choose_checkpoint(listed, name)
        assert caught.value.message == message
