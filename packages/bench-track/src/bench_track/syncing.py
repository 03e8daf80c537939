"""`bench_track.sync`: what stayed on this machine goes to the server."""

import importlib.util
import os
import subprocess
import sys

from bench_track.errors import SyncError


def sync(folder: str | os.PathLike[str], *, project: str | None = None) -> None:
    """Send what a run outside of a server's has logged, and return when the server has all of it.

    What it has is not sent again. `bench track sync` does the same, for all runs of this machine.

    Args:
        folder: The run's: `run.folder`.
        project: The id of a project, for a run that was made without one.

    Raises:
        SyncError: The server does not get it; it stays in the folder.
    """
    if importlib.util.find_spec("bench_agent") is None:
        raise SyncError("bench-agent is not installed, which sends", hint="pip install bench-agent")
    words = [sys.executable, "-m", "bench_agent", "track", os.fspath(folder), "--to-the-end"]
    done = subprocess.run(
        [*words, *(["--project", project] if project else [])],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"the agent ended with {done.returncode}"]
        raise SyncError(f"the server does not have all of {os.fspath(folder)}: {said[-1]}")
