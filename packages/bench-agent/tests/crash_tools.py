"""Processes that are killed at random, what they leave, and what the server has then."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import bench_auth
import psutil
from agent_tools import Server
from bench_protos.data.v1 import datasets_pb2 as pb
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub
from bench_protos.projects.v1 import projects_pb2
from bench_protos.projects.v1.projects_pb2_grpc import ProjectServiceStub

STEP_SECONDS = 0.3
"""About what a step between two lines takes, or less: a longer one is killed in its first part."""

GONE_SECONDS = 60.0
"""What a killed process had started has so long to notice."""


def run_to_the_end(command: Sequence[str], folder: Path, **environment: str) -> int:
    """Run a Python program in a folder; the number of lines that it said."""
    with _started(command, folder, environment) as process:
        process.wait(300)
    assert process.returncode == 0, _said(folder).read_text()
    return _lines(folder)


def kill_at(command: Sequence[str], folder: Path, line: int, seconds: float, **environment: str) -> bool:
    """kill -9 of a Python program's process, and only of that; whether that ended it.

    Args:
        command: What follows `python`.
        folder: Where it runs.
        line: It is killed after it said so many lines,
        seconds: and then went on for so long.
        environment: More variables.
    """
    with _started(command, folder, environment) as process:
        while _lines(folder) < line and process.poll() is None:
            time.sleep(0.01)
        time.sleep(seconds)
        process.kill()
        return process.wait() == -signal.SIGKILL


def moments(seed: int, lines: int) -> Iterator[tuple[int, float]]:
    """Arguments for `kill_at`: a moment somewhere after each line but the last."""
    luck = random.Random(seed)
    for line in range(lines):
        yield line, luck.uniform(0, STEP_SECONDS)


def kill_when_there(command: Sequence[str], folder: Path, sign: Path, **environment: str) -> None:
    """kill -9 of a Python program's process when there is a file."""
    with _started(command, folder, environment) as process:
        while not sign.exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()


def processes_in(folder: Path) -> list[str]:
    """The command lines of processes that work in a folder, after those of a killed one had time to end."""
    deadline = time.monotonic() + GONE_SECONDS
    while found := [
        " ".join(process.cmdline()) for process in psutil.process_iter() if _is_in(process, folder)
    ]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return found


def versions_of(server: Server, project: str) -> list[pb.Version]:
    """All versions of a project's datasets."""
    stub = DatasetServiceStub(bench_auth.open_channel(server.endpoint))
    datasets = stub.ListDatasets(pb.ListDatasetsRequest(project_id=project)).datasets
    requests = [pb.ListVersionsRequest(project_id=project, dataset=dataset.name) for dataset in datasets]
    return [version for request in requests for version in stub.ListVersions(request).versions]


def stored_bytes(server: Server, project: str) -> int:
    """What a project's blobs take."""
    stub = ProjectServiceStub(bench_auth.open_channel(server.endpoint))
    return stub.GetProject(projects_pb2.GetProjectRequest(project_id=project)).project.stored_bytes


def unfinished_uploads(server: Server) -> list[Path]:
    """Parts of blobs that lie on the server's disk."""
    return list((server.data / "uploads").rglob("*.part"))


def _started(command: Sequence[str], folder: Path, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    with _said(folder).open("wb") as sink:  # a pipe could fill up, and be held open by others
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )


def _said(folder: Path) -> Path:
    """What the last program in a folder said: beside the folder, which may be what is sent."""
    return folder.with_suffix(".said")


def _lines(folder: Path) -> int:
    return _said(folder).read_bytes().count(b"\n")


def _is_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(folder) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
