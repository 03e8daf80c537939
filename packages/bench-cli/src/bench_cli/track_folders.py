"""Folders of runs that were started elsewhere, and the agent that sends them."""

import subprocess
import sys
from pathlib import Path

from bench_cli import cloud, sources


def run_folders() -> list[Path]:
    """Those on this machine, oldest first."""
    from bench_track.settings import track_root

    root = track_root()
    return sorted(path.parent for path in root.glob("*/run.json")) if root.is_dir() else []


def send(folder: Path, project: str | None) -> str:
    """Send a run; why it could not be, or empty.

    Args:
        folder: The run's.
        project: As for `cloud.find_project`: where a run belongs that was made without a project.
    """
    known = sources.project(project).value is not None
    words = ["--project", cloud.find_project(project).id] if known else []
    cloud.endpoint()
    done = subprocess.run(
        [sys.executable, "-m", "bench_agent", "track", str(folder), "--to-the-end", *words],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"the agent ended with {done.returncode}"])[-1]
