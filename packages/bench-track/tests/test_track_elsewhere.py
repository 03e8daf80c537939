"""Runs outside of a server's: real scripts, and a real server that gets them at once or later."""

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
import bench_track
import pytest
from agent_tools import Server, running_server
from attempt_tools import until
from bench_auth import NotFoundError, call
from bench_protos.runs.v1 import runs_pb2
from bench_protos.runs.v1.runs_pb2_grpc import RunServiceStub
from bench_protos.tracks.v1 import tracks_pb2
from bench_protos.tracks.v1.tracks_pb2_grpc import TrackServiceStub
from bench_track import SyncError
from spool_reading import notes, points


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture(scope="module")
def project(server: Server) -> str:
    return server.create_project()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_TRACK_ROOT", str(tmp_path / "tracks"))
    monkeypatch.delenv("BENCH_TRACK", raising=False)
    return tmp_path / "tracks"


def script(text: str, folder: Path, *words: str, **environment: str) -> "subprocess.Popen[str]":
    """A script of a user's, begun in a folder."""
    path = folder / "train.py"
    path.write_text(f"import bench_track, os, signal, sys, time\n{text}")
    return subprocess.Popen(
        [sys.executable, str(path), *words],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def only(root: Path) -> Path:
    (folder,) = root.iterdir()
    return folder


def document(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


KEPT = """
import atexit, gc
def main():
    try:
        sys.exit(3)
    except SystemExit as error:
        kept = error  # and so it keeps itself, by its traceback
        raise
atexit.register(gc.collect)
"""

LOG = 'run = bench_track.init(config={"lr": 1})\nrun.log({"loss": 0.5})\n'


def test_what_its_folder_says(root: Path, tmp_path: Path) -> None:
    text = 'run = bench_track.init(name="größe", tags=["a"], group="g")\nrun.log({"a": 1.0}, step=2)\n'
    started = script(text, tmp_path, "--lr", "1")
    assert (*started.communicate(timeout=300), started.returncode) == ("", "", 0)
    folder = only(root)
    said = document(folder / "run.json")
    assert said.pop("time") <= time.time_ns()
    assert said == {
        "version": 1,
        "run": folder.name,
        "project": None,
        "name": "größe",
        "tags": ["a"],
        "group": "g",
        "command": [str(tmp_path / "train.py"), "--lr", "1"],
        "work": str(tmp_path),
        "host": os.uname().nodename,
        "pid": started.pid,
        "python": sys.version.split()[0],
    }
    assert points(folder) == [(2, {"a": 1.0})]
    assert notes(folder, "about") == []


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("", ("succeeded", 0, None)),
        ("run.finish()", ("succeeded", None, None)),
        ("sys.exit()", ("succeeded", 0, None)),
        ("sys.exit(3)", ("failed", 3, None)),
        ("sys.exit('no')", ("failed", 1, "no")),
        ("import threading; threading.Thread(target=sys.exit, args=(7,)).start()", ("succeeded", 0, None)),
        ("raise ValueError('no')", ("failed", 1, "ValueError: no")),
        ("with run: raise ValueError('no')", ("failed", 1, "ValueError: no")),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", ("stopped", 130, None)),
        ("os.fork() or sys.exit(4); os.wait()", ("succeeded", 0, None)),
        ("os.kill(os.getpid(), signal.SIGKILL)", None),
        ("os._exit(0)", None),
        ("try: sys.exit(3)\nexcept SystemExit: pass", ("succeeded", 0, None)),
        ("try: sys.exit(3)\nexcept SystemExit: pass\nsys.exit(4)", ("failed", 4, None)),
        (
            "try: sys.exit(3)\nexcept SystemExit: pass\nraise ValueError('no')",
            ("failed", 1, "ValueError: no"),
        ),
        ("try: sys.exit(3)\nexcept SystemExit as error: raise SystemExit(error.code)", ("failed", 3, None)),
        ("try: sys.exit(3)\nfinally: time.sleep(0)", ("failed", 3, None)),
        (KEPT + "main()", ("failed", 3, None)),
        (KEPT + "try: main()\nexcept SystemExit: pass\ngc.collect()", ("succeeded", 0, None)),
    ],
)
def test_how_it_ended(root: Path, tmp_path: Path, text: str, end: Any) -> None:
    script(LOG + text, tmp_path).communicate(timeout=300)
    folder = only(root)
    assert points(folder) == [(0, {"loss": 0.5})]
    path = folder / "end.json"
    if end is None:
        assert not path.exists()
        return
    said = document(path)
    assert (said["state"], said["exit_code"], said["message"]) == end


def test_a_root_that_cannot_be_made(root: Path) -> None:
    root.write_text("no folder")
    with pytest.raises(bench_track.TrackError, match="cannot be made"):
        bench_track.init()


def test_all_ranks_without_torch_distributed(root: Path) -> None:
    with pytest.raises(bench_track.TrackError, match="rank 1 does not know"):
        bench_track.init(rank=1, all_ranks=True)


def found_run(server: Server, project: str, run: str) -> runs_pb2.Run | None:
    stub = RunServiceStub(bench_auth.open_channel(server.endpoint))
    try:
        return call(stub.GetRun, runs_pb2.GetRunRequest(project_id=project, run=run)).run
    except NotFoundError:
        return None


def reason(server: Server, project: str, run: str) -> str | None:
    found = found_run(server, project, run)
    return found.attempts[0].reason if found else None


def values(server: Server, project: str, run: str) -> list[float]:
    stub = TrackServiceStub(bench_auth.open_channel(server.endpoint))
    request = tracks_pb2.ReadPointsRequest(project_id=project, run_id=run, names=["loss"])
    return [value for part in stub.ReadPoints(request, timeout=300) for value in part.values]


def test_it_is_sent_while_it_goes_on(root: Path, tmp_path: Path, server: Server, project: str) -> None:
    text = LOG + "sys.stdin.read()\nrun.log({'loss': 0.25})\nraise ValueError('no')"
    read, write = os.pipe()
    path = tmp_path / "train.py"
    path.write_text(f"import bench_track, sys\n{text}")
    environment = {**os.environ, "BENCH_PROJECT": project, "BENCH_ENDPOINT": server.endpoint}
    with subprocess.Popen(
        [sys.executable, str(path)], env=environment, stdin=read, stderr=subprocess.DEVNULL, cwd=tmp_path
    ):
        os.close(read)
        until(lambda: root.exists() and any(root.glob("*/*.records")))
        run = only(root).name
        until(lambda: found_run(server, project, run) is not None)
        until(lambda: values(server, project, run) == [0.5])
        found = found_run(server, project, run)
        assert found is not None
        assert (found.state, found.config_json) == (runs_pb2.RUN_STATE_RUNNING, '{"lr": 1}')
        os.close(write)
    until(lambda: reason(server, project, run) == "failed_exit")
    assert values(server, project, run) == [0.5, 0.25]


def test_one_that_is_killed_is_lost(root: Path, tmp_path: Path, server: Server, project: str) -> None:
    text = LOG + "time.sleep(600)"
    started = script(text, tmp_path, BENCH_PROJECT=project, BENCH_ENDPOINT=server.endpoint)
    until(lambda: root.exists() and any(root.glob("*/*.records")))
    run = only(root).name
    until(lambda: found_run(server, project, run) is not None)
    started.send_signal(signal.SIGKILL)
    started.communicate()
    until(lambda: reason(server, project, run) == "lost")
    assert values(server, project, run) == [0.5]


def test_without_a_server_it_stays_and_is_synced_later(
    root: Path, tmp_path: Path, server: Server, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(LOG, tmp_path).communicate(timeout=300)
    folder = only(root)
    with pytest.raises(SyncError, match="belongs to no project"):
        bench_track.sync(folder)
    monkeypatch.setenv("BENCH_ENDPOINT", server.endpoint)
    for _ in range(2):
        bench_track.sync(folder, project=project)
    assert values(server, project, folder.name) == [0.5]
    assert reason(server, project, folder.name) == "succeeded"
