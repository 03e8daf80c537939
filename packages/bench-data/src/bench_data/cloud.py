"""Datasets to a server and back.

The network is bench-agent's, in a process of its own: nothing here imports gRPC, which does not survive the
forks of a training.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench_core import ENDPOINT_VARIABLE, PROJECT_FILE, PROJECT_VARIABLE

from bench_data.errors import CloudError, NoCloudError, OptionsError
from bench_data.folders import dataset_folder
from bench_data.known_project import KnownProject, known_project
from bench_data.progress import bytes_bar


@dataclass(frozen=True, kw_only=True)
class CloudVersion:
    """A version of a dataset on a server.

    Args:
        dataset: Its name there.
        version_number: 1, 2, ...
        fingerprint: Of its content; the same as that of the local dataset.
        moved_bytes: What had to go over the network.
        linked_bytes: What did not, because it was there or the server is this user's, on the same disk.
    """

    dataset: str
    version_number: int
    fingerprint: str
    moved_bytes: int
    linked_bytes: int


def push(
    name: str,
    *,
    project: str | None = None,
    root: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> CloudVersion:
    """Send a dataset to the server; what the project has of it already is not sent again.

    Args:
        name: The dataset's name, here and there.
        project: The project's id; unless given, `$BENCH_PROJECT`, else that of `bench.toml`.
        root: The folder that holds datasets, as for ChunkDataset.
        progress: Whether to show a progress bar; None: on a terminal.

    Raises:
        CloudError: It cannot be sent. The same call goes on from there.
    """
    return push_folder(dataset_folder(name, root), name, _project(project), progress=progress)


def push_folder(
    folder: Path,
    name: str,
    project: KnownProject,
    *,
    manifest_path: Path | None = None,
    progress: bool | None = None,
) -> CloudVersion:
    """`push` of a folder.

    Args:
        folder: The dataset's folder.
        name: The dataset's name on the server.
        project: Where to.
        manifest_path: The manifest, where it is not yet `dataset.json` of the folder.
        progress: As for `push`.

    Raises:
        CloudError: As `push`.
    """
    command = ["push", str(folder), "--name", name]
    if manifest_path is not None:
        command += ["--manifest", str(manifest_path)]
    done = _run_agent(command, project, f"Pushing {name}", progress)
    return _version(done, done["sent_bytes"])


def pull(
    name: str,
    *,
    project: str | None = None,
    version: int = 0,
    root: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> CloudVersion:
    """Fetch a dataset from the server; it appears when all of it is here and every digest was right.

    Args:
        name: The dataset's name, there and here.
        project: The project's id; unless given, `$BENCH_PROJECT`, else that of `bench.toml`.
        version: Which version; 0: the latest.
        root: The folder that holds datasets, as for ChunkDataset.
        progress: Whether to show a progress bar; None: on a terminal.

    Raises:
        CloudError: It cannot be fetched, or another dataset of that name is here. The same call goes on.
    """
    folder = dataset_folder(name, root)
    command = ["pull", name, "--into", str(folder), "--version", str(version)]
    done = _run_agent(command, _project(project), f"Pulling {name}", progress)
    return _version(done, done["received_bytes"])


def _project(given: str | None) -> KnownProject:
    known = known_project()
    if given and (known is None or known.id != given):
        return KnownProject(None, given)
    if known is None:
        raise OptionsError(
            "no project is known",
            hint=f"Give project=..., set {PROJECT_VARIABLE}, or go to a folder with a {PROJECT_FILE}.",
        )
    return known


def _version(done: dict[str, Any], moved_bytes: int) -> CloudVersion:
    fields = {name: done[name] for name in ("dataset", "version_number", "fingerprint")}
    return CloudVersion(**fields, moved_bytes=moved_bytes, linked_bytes=done["linked_bytes"])


def _run_agent(
    arguments: list[str], project: KnownProject, text: str, progress: bool | None
) -> dict[str, Any]:
    """Run bench-agent and return what it says at its end."""
    with (
        _agent([*arguments, "--project", project.id], project.endpoint) as process,
        bytes_bar(text, progress) as show,
    ):
        assert process.stdout is not None
        last: dict[str, Any] = {}
        for line in process.stdout:
            last = json.loads(line)
            if last["event"] == "progress":
                show(last["bytes"], last["total_bytes"])
    if last.get("event") == "error":
        raise agent_failure(last)
    if process.returncode or last.get("event") != "done":
        raise CloudError(
            f"bench-agent ended unexpectedly ({process.returncode})", hint="The same call goes on from there."
        )
    return last


def agent_failure(said: dict[str, Any]) -> CloudError:
    """The error that bench-agent says."""
    kind = NoCloudError if said["type"] == "NoLoginError" else CloudError
    return kind(said["message"], hint=said["hint"])


def start_agent(arguments: list[str], endpoint: str | None) -> "subprocess.Popen[str]":
    """Start bench-agent: it ends with this process, whatever ends it.

    Args:
        arguments: What it is to do.
        endpoint: The server's URL; None: that of the login.

    Raises:
        NoCloudError: It is not installed.
    """
    if find_spec("bench_agent") is None:
        raise NoCloudError(
            "bench-agent is not installed, which does the network", hint="pip install ./packages/bench-agent"
        )
    command = [sys.executable, "-m", "bench_agent", "--with-parent", *arguments]
    environment = {**os.environ, **({ENDPOINT_VARIABLE: endpoint} if endpoint else {})}
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


@contextmanager
def _agent(arguments: list[str], endpoint: str | None) -> Iterator["subprocess.Popen[str]"]:
    process = start_agent(arguments, endpoint)
    try:
        yield process
        process.wait()
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
