"""Where the things of an attempt lie: on the host, and in its container."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from bench_deploy.inside import INSIDE as _BENCH

PRIVATE_ROOT = Path("/dev/shm")
"""A file system in memory: what lies there is gone when the machine is."""


@dataclass(frozen=True)
class Places:
    """The paths of an attempt, as its agent and its training see them.

    Args:
        work: The working directory.
        output: What is kept.
        datasets: The pinned datasets.
        spool: What the training writes to its output, and how it ended.
        attempt_file: What the agent is to do.
        private: Token and secrets.
        socket: The folder of the server's socket.
        cache: Caches of the project.
    """

    work: Path
    output: Path
    datasets: Path
    spool: Path
    attempt_file: Path
    private: Path
    socket: Path
    cache: Path


INSIDE = Places(
    work=_BENCH / "work",
    output=_BENCH / "output",
    datasets=_BENCH / "datasets",
    spool=_BENCH / "spool",
    attempt_file=_BENCH / "attempt.json",
    private=_BENCH / "private",
    socket=_BENCH / "socket",
    cache=_BENCH / "cache",
)
"""In a container."""


def host_places(data: Path, server_id: str, project_id: str, run_id: str, number: int) -> Places:
    """On the host.

    Args:
        data: The server's folder.
        server_id: Its id.
        project_id: The run's project.
        run_id: The run.
        number: The attempt's.
    """
    run, attempt = data / "runs" / run_id, data / "runs" / run_id / str(number)
    return Places(
        work=run / "work",
        output=run / "output",
        datasets=run / "datasets",
        spool=attempt / "spool",
        attempt_file=attempt / "attempt.json",
        private=private_root(data, server_id) / f"{run_id}-{number}",
        socket=data / "runs" / "socket",
        cache=data / "caches" / project_id,
    )


def private_root(data: Path, server_id: str) -> Path:
    """Where tokens and secrets of running attempts lie: in memory where the system has such a place."""
    return PRIVATE_ROOT / f"bench-{server_id}" if PRIVATE_ROOT.is_dir() else data / "private"


def make_folder(path: Path, user: tuple[int, int], mode: int) -> None:
    """Make a folder of a user, or give one that is there to the user."""
    path.mkdir(parents=True, exist_ok=True)
    if os.getuid() == 0:
        os.chown(path, *user)
    path.chmod(mode)


def remove_folder(path: Path) -> None:
    """Remove a folder with all that is in it; nothing happens if there is none."""
    shutil.rmtree(path, ignore_errors=True)
