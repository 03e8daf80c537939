"""kill -9 of each process at each state of a run: one container for an attempt, one end, every byte once."""

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import bench_auth
import pytest
from bench_deploy.engine.docker import DockerEngine
from bench_protos.runs.v1 import runs_pb2 as pb
from matrix_tools import (
    COUNTING,
    Follower,
    HeldIndex,
    counted,
    end,
    held_index,
    kill,
    own_images,
    starts_seen,
    until,
)
from runner_tools import ENDED, Runs, running

pytestmark = pytest.mark.needs("dockerd")

VICTIMS = ["runner", "rpc", "server", "client"]
SMALL: dict[str, Any] = {"cpu_millis": 200, "memory_bytes": 256 << 20}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("server")
    with own_images(folder / "data"), running(folder, "docker") as found:
        yield found


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeldIndex]:
    with held_index(tmp_path_factory.mktemp("index")) as found:
        yield found


def kill_victim(runs: Runs, victim: str, followers: dict[str, Follower]) -> None:
    if victim != "client":
        kill(runs.server, victim)
        return
    for follower in followers.values():
        follower.kill()
        follower.resume()


def check(runs: Runs, run: str, reason: str, since: float) -> None:
    attempt = runs.wait(run)
    assert (attempt.reason, attempt.attempt_number) == (reason, 1), attempt
    assert len(runs.get(run).attempts) == 1
    assert runs.artifacts(run)["output/starts"] == b"1\n"
    assert starts_seen(run, since) == ["1"]
    log = runs.log(run)
    assert counted(log), log
    assert attempt.log_bytes == len(log)


@pytest.mark.parametrize("victim", VICTIMS)
def test_kills_while_queued_building_running_and_stopping(
    runs: Runs, index: HeldIndex, victim: str, tmp_path: Path
) -> None:
    since = time.time()
    stopping, running_ = runs.submit(COUNTING, **SMALL), runs.submit(COUNTING, **SMALL)
    for run in (stopping, running_):
        runs.wait_for_log(run, b"5\n")
    requirements = {"requirements.txt": index.requirements(f"held-{uuid4().hex}")}
    building = runs.submit(COUNTING, files=requirements, **SMALL)
    index.asked.wait()
    queued = runs.submit(COUNTING)
    runs.stop(stopping)
    runs.wait(stopping, pb.RUN_STATE_STOPPING)
    until(lambda: runs.last(queued).waiting_for != "")
    assert runs.last(building).state == pb.RUN_STATE_BUILDING
    assert runs.last(running_).state == pb.RUN_STATE_RUNNING
    everything = (stopping, running_, building, queued)
    followers = {run: Follower(runs, run, tmp_path / run) for run in everything}

    kill_victim(runs, victim, followers)
    index.go_on.set()
    runs.wait(building, pb.RUN_STATE_RUNNING)
    for run, reason in ((stopping, "stopped"), (running_, "succeeded"), (building, "succeeded")):
        runs.wait_for_log(run, b"5\n")
        end(runs, run)
        check(runs, run, reason, since)
    runs.wait_for_log(queued, b"5\n")
    end(runs, queued)
    check(runs, queued, "succeeded", since)
    for run, follower in followers.items():
        assert follower.all() == runs.log(run)


@pytest.mark.parametrize("victim", VICTIMS)
def test_kills_while_starting(runs: Runs, victim: str, tmp_path: Path) -> None:
    is_hit = False
    while not is_hit:
        since = time.time()
        run = runs.submit(COUNTING, **SMALL)
        followers = {run: Follower(runs, run, tmp_path / run)} if victim == "client" else {}
        attempt = runs.wait(run, pb.RUN_STATE_STARTING, pb.RUN_STATE_RUNNING, *ENDED)
        is_hit = attempt.state == pb.RUN_STATE_STARTING
        kill_victim(runs, victim, followers)
        runs.wait(run, pb.RUN_STATE_RUNNING)
        runs.wait_for_log(run, b"5\n")
        end(runs, run)
        check(runs, run, "succeeded", since)
        for follower in followers.values():
            assert follower.all() == runs.log(run)


def test_a_container_killed_while_it_is_stopped_is_stopped(runs: Runs) -> None:
    since = time.time()
    run = runs.submit(COUNTING, **SMALL)
    runs.wait_for_log(run, b"5\n")
    runs.stop(run)
    runs.wait(run, pb.RUN_STATE_STOPPING)
    DockerEngine().signal(f"bench-{run}-1", signal.SIGKILL)
    attempt = runs.wait(run)
    assert (attempt.state, attempt.reason) == (pb.RUN_STATE_STOPPED, "stopped")
    assert starts_seen(run, since) == ["1"]
    lines = runs.log(run).splitlines()
    assert lines == [b"%d" % number for number in range(len(lines))]


def test_a_stop_while_the_server_is_away_from_a_build_is_done(runs: Runs, index: HeldIndex) -> None:
    requirements = {"requirements.txt": index.requirements(f"held-{uuid4().hex}")}
    run = runs.submit(COUNTING, files=requirements, **SMALL)
    index.asked.wait()
    kill(runs.server, "runner")
    with contextlib.suppress(bench_auth.UnreachableError):
        runs.stop(run)
    attempt = runs.wait(run)
    assert (attempt.state, attempt.reason) == (pb.RUN_STATE_STOPPED, "stopped")
    assert runs.log(run) == b""
