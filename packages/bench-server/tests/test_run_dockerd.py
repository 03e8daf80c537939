"""What becomes of a run when the Docker daemon restarts under it: on a daemon of the test's own."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from bench_protos.runs.v1 import runs_pb2 as pb
from matrix_tools import COUNTING, Follower, counted, docker_says, end, own_images
from own_dockerd import Daemon, own_dockerd
from runner_tools import Runs, running

pytestmark = pytest.mark.needs("dockerd", "root")

SMALL: dict[str, Any] = {"cpu_millis": 1000, "memory_bytes": 256 << 20}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Runs, Daemon]]:
    """A server whose images were made on the machine's daemon, which has a network, and the other daemon."""
    folder = tmp_path_factory.mktemp("server")
    with own_images(folder / "data"), running(folder, "docker") as runs:
        first = runs.submit("print(1)", **SMALL)
        assert runs.wait(first).reason == "succeeded"
        used = {f"bench-image:{path.name}" for path in (runs.server.data / "images" / "used").iterdir()}
        there = set(docker_says("images", "--format={{.Repository}}:{{.Tag}}", "bench-image").split())
        runs.server.kill()
        base = os.environ.get("BENCH_BASE_IMAGE", "bench-base:bookworm")
        with own_dockerd(base, *sorted(used & there)) as daemon:
            runs.server.environment["DOCKER_HOST"] = daemon.url
            yield runs, daemon
            runs.server.kill()


@pytest.fixture
def own(both: tuple[Runs, Daemon]) -> Iterator[Daemon]:
    runs, daemon = both
    yield daemon
    runs.server.kill()
    daemon.end()


@pytest.fixture
def runs(both: tuple[Runs, Daemon], own: Daemon) -> Runs:
    return both[0]


def began(runs: Runs, daemon: Daemon, *options: str, **spec: Any) -> str:
    """A counting run that has begun."""
    daemon.start(*options)
    runs.server.start()
    run = runs.submit(COUNTING, **SMALL, **spec)
    runs.wait_for_log(run, b"5\n")
    return run


def container_id(daemon: Daemon, run: str, attempt: int = 1) -> str:
    client = docker.DockerClient(base_url=daemon.url)
    try:
        return str(client.api.inspect_container(f"bench-{run}-{attempt}")["Id"])
    finally:
        client.close()


def numbers(log: bytes) -> bool:
    """Whether a log has each number once, in order, up to any."""
    return counted(log + b"end\n")


def test_with_live_restore_a_run_goes_on(runs: Runs, own: Daemon, tmp_path: Path) -> None:
    run = began(runs, own, "--live-restore")
    before = container_id(own, run)
    follower = Follower(runs, run, tmp_path / "log")
    own.end()
    runs.wait_for_log(run, b"\n%d\n" % (runs.log(run).count(b"\n") + 100))
    attempt = runs.last(run)
    assert attempt.state == pb.RUN_STATE_RUNNING
    assert "does not answer" in attempt.waiting_for
    own.start("--live-restore")
    assert container_id(own, run) == before
    end(runs, run)
    attempt = runs.wait(run)
    assert (attempt.attempt_number, attempt.reason, attempt.waiting_for) == (1, "succeeded", "")
    assert runs.artifacts(run)["output/starts"] == b"1\n"
    log = runs.log(run)
    assert counted(log), log
    assert follower.all() == log


@pytest.mark.parametrize("code", ["0", "3", None], ids=["returns 0", "returns 3", "ignores SIGTERM"])
def test_without_it_a_run_ends_for_that_reason_whatever_it_returns(
    runs: Runs, own: Daemon, code: str | None
) -> None:
    environment = {"ON_SIGTERM": code} if code is not None else {}
    run = began(runs, own, environment=environment)
    own.end()
    own.start()
    attempt = runs.wait(run)
    assert (attempt.state, attempt.reason) == (pb.RUN_STATE_FAILED, "engine_restarted")
    assert attempt.has_exit_code == (code is not None)
    assert len(runs.get(run).attempts) == 1
    log = runs.log(run)
    assert numbers(log), log
    assert attempt.log_bytes == len(log)


def test_without_it_a_run_is_tried_again_if_asked(runs: Runs, own: Daemon, tmp_path: Path) -> None:
    run = began(runs, own, environment={"ON_SIGTERM": "0"}, retry_count=1)
    follower = Follower(runs, run, tmp_path / "log")
    own.end()
    own.start()
    runs.wait(run, pb.RUN_STATE_RUNNING)
    runs.wait_for_log(run, b"5\n")
    end(runs, run)
    attempt = runs.wait(run, pb.RUN_STATE_SUCCEEDED)
    first, second = runs.get(run).attempts
    assert (first.reason, second) == ("engine_restarted", attempt)
    assert runs.artifacts(run)["output/starts"] == b"1\n2\n"
    assert counted(runs.log(run))
    assert numbers(follower.all())
