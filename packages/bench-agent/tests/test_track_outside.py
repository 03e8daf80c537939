"""Runs that were started elsewhere, kept on a real server by `python -m bench_agent track FOLDER`."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bench_auth
import pytest
from agent_tools import Server, running_server
from attempt_tools import until
from bench_auth import NotFoundError, call
from bench_protos.runs.v1 import runs_pb2
from bench_protos.runs.v1.runs_pb2_grpc import RunServiceStub
from bench_protos.tracks.v1 import tracks_pb2 as pb
from bench_protos.tracks.v1.tracks_pb2_grpc import TrackServiceStub
from bench_track.records import MAGIC, pack_points, pack_shape
from uuid6 import uuid7


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture(scope="module")
def project(server: Server) -> str:
    return server.create_project()


class Script:
    """A run's folder as a script outside of runs makes it, and this process as the script.

    Args:
        folder: Absent.
        server: Where it is sent.
        project: Its project; None: it has none.
    """

    def __init__(self, folder: Path, server: Server, project: str | None, name: str | None = None) -> None:
        folder.mkdir()
        self.folder, self.run_id, self._server, self._project = folder, str(uuid7()), server, project
        document = {
            "version": 1,
            "run": self.run_id,
            "project": project,
            "name": name,
            "tags": ["a"],
            "group": "g",
            "command": ["train.py", "--lr", "1"],
            "time": time.time_ns(),
        }
        (folder / "run.json").write_text(json.dumps(document))
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._file = (folder / f"0-{os.getpid()}-5e0c2a91.records").open("ab", buffering=0)
        self._file.write(MAGIC + pack_shape(1, ["loss"]))
        self.count = 0

    def log(self, count: int) -> None:
        for _ in range(count):
            self._file.write(pack_points(1, step=self.count, time=time.time_ns(), values=[self.count]))
            self.count += 1

    def end(self, **fields: Any) -> None:
        """Say an end, and let go."""
        document = {"version": 1, "exit_code": None, "message": None, "time": time.time_ns(), **fields}
        (self.folder / "end.json").write_text(json.dumps(document))
        self.vanish()

    def vanish(self) -> None:
        if not self._file.closed:
            self._file.close()
            os.close(self._lock)

    def __enter__(self) -> "Script":
        return self

    def __exit__(self, *_: object) -> None:
        self.vanish()

    def agent(self) -> "subprocess.Popen[bytes]":
        words = [sys.executable, "-m", "bench_agent", "track", str(self.folder)]
        return subprocess.Popen(words, env=self._environment, stderr=subprocess.DEVNULL)

    def sync(self) -> tuple[int, str]:
        words = [sys.executable, "-m", "bench_agent", "track", str(self.folder), "--to-the-end"]
        done = subprocess.run(
            words, env=self._environment, stderr=subprocess.PIPE, text=True, timeout=120, check=False
        )
        return done.returncode, done.stderr

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "BENCH_ENDPOINT": self._server.endpoint}

    @property
    def notes(self) -> str:
        path = self.folder / "agent.log"
        return path.read_text() if path.exists() else ""

    def run(self) -> runs_pb2.Run | None:
        stub = RunServiceStub(bench_auth.open_channel(self._server.endpoint))
        try:
            return call(
                stub.GetRun, runs_pb2.GetRunRequest(project_id=self._project or "", run=self.run_id)
            ).run
        except NotFoundError:
            return None

    def ends(self) -> list[Any]:
        run = self.run()
        return [(found.reason, found.end_time) for found in run.attempts] if run else []

    def values(self, name: str = "loss") -> list[float]:
        stub = TrackServiceStub(bench_auth.open_channel(self._server.endpoint))
        request = pb.ReadPointsRequest(project_id=self._project or "", run_id=self.run_id, names=[name])
        return [value for part in stub.ReadPoints(request, timeout=60) for value in part.values]

    @property
    def expected(self) -> list[float]:
        return [float(step) for step in range(self.count)]


@pytest.fixture
def script(tmp_path: Path, server: Server, project: str) -> Iterator[Script]:
    with Script(tmp_path / "run", server, project) as made:
        yield made


@pytest.mark.parametrize(
    ("end", "state", "reason"),
    [
        ({"state": "succeeded", "exit_code": 0}, runs_pb2.RUN_STATE_SUCCEEDED, "succeeded"),
        (
            {"state": "failed", "exit_code": 1, "message": "ValueError: no"},
            runs_pb2.RUN_STATE_FAILED,
            "failed_exit",
        ),
        ({"state": "stopped"}, runs_pb2.RUN_STATE_STOPPED, "stopped"),
        (None, runs_pb2.RUN_STATE_FAILED, "lost"),
    ],
)
def test_a_run_is_followed_to_its_end(script: Script, end: Any, state: int, reason: str) -> None:
    script.log(50)
    agent = script.agent()
    until(lambda: script.run() is not None and script.values() == script.expected)
    run = script.run()
    assert run is not None
    assert (run.state, list(run.tags), run.group) == (runs_pb2.RUN_STATE_RUNNING, ["a"], "g")
    assert list(run.spec.command) == ["train.py", "--lr", "1"]
    script.log(5000)
    script.end(**end) if end else script.vanish()
    assert agent.wait(timeout=60) == 0
    assert script.values() == script.expected
    ended = script.run()
    assert ended is not None
    (attempt,) = ended.attempts
    assert (ended.state, attempt.reason) == (state, reason)
    if end and "message" in end:
        assert (attempt.message, attempt.exit_code) == ("ValueError: no", 1)
    assert script.notes == ""


def test_what_stayed_here_is_synced_later_and_once(script: Script) -> None:
    script.log(3000)
    script.end(state="succeeded")
    assert script.sync() == (0, "")
    first = script.ends()
    assert script.values() == script.expected
    assert script.sync() == (0, "")
    assert script.ends() == first
    assert script.values() == script.expected


def test_one_that_is_gone_without_a_word_ended_with_what_it_wrote_last(script: Script) -> None:
    script.log(3)
    script.vanish()
    (written,) = script.folder.glob("*.records")
    last = time.time_ns() + 5 * 10**9
    os.utime(written, ns=(last, last))
    for _ in range(2):
        assert script.sync() == (0, "")
        ((reason, end),) = script.ends()
        assert (reason, end.ToMicroseconds()) == ("lost", last // 1000)


def test_one_that_lives_is_synced_as_far_as_it_is(script: Script) -> None:
    script.log(10)
    assert script.sync() == (0, "")
    run = script.run()
    assert run is not None
    assert run.state == runs_pb2.RUN_STATE_RUNNING
    assert script.values() == script.expected


def test_an_agent_that_is_killed_and_the_next(script: Script) -> None:
    for _ in range(5):
        agent = script.agent()
        before = script.count
        for _ in range(20):
            script.log(100)
            time.sleep(0.02)
        until(lambda: script.run() is not None and len(script.values()) > before)  # noqa: B023
        agent.send_signal(signal.SIGKILL)
        agent.wait()
    script.end(state="succeeded")
    assert script.sync() == (0, "")
    assert script.values() == script.expected


def test_a_server_that_is_killed_meanwhile(script: Script, server: Server) -> None:
    agent = script.agent()
    until(lambda: script.run() is not None)
    for _ in range(3):
        script.log(1000)
        server.kill()
        script.log(1000)
        server.start()
    script.end(state="succeeded")
    assert agent.wait(timeout=120) == 0
    assert script.values() == script.expected


def test_of_two_agents_one_sends(script: Script) -> None:
    first = script.agent()
    until(lambda: script.run() is not None)
    second = script.agent()
    assert second.wait(timeout=60) == 0
    assert script.sync() == (1, "another agent sends this folder; it goes on with it\n")
    script.end(state="succeeded")
    assert first.wait(timeout=60) == 0


def test_a_name_that_is_taken_gets_an_ending(tmp_path: Path, server: Server, project: str) -> None:
    scripts = [Script(tmp_path / str(number), server, project, name="baseline") for number in range(2)]
    for script in scripts:
        script.end(state="succeeded")
        assert script.sync() == (0, "")
    names = [found.name for script in scripts if (found := script.run())]
    assert names == ["baseline", f"baseline-{scripts[1].run_id[-6:]}"]


def test_why_it_cannot_be_sent_is_said(tmp_path: Path, server: Server, project: str) -> None:
    with Script(tmp_path / "without", server, None) as without:
        code, said = without.sync()
    assert code == 1
    assert (
        said
        == f"the run in {without.folder} belongs to no project. Sync it from within a project's folder.\n"
    )
    with Script(tmp_path / "unknown", server, str(uuid7())) as unknown:
        code, said = unknown.sync()
    assert (code, said.splitlines()[-1].startswith("there is no project")) == (1, True)
    (tmp_path / "empty").mkdir()
    agent = subprocess.run(
        [sys.executable, "-m", "bench_agent", "track", str(tmp_path / "empty")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert agent.returncode == 1
    assert "is no folder of a tracked run" in agent.stderr
