"""Which commit the code is from."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GitState:
    """The commit that a folder is at.

    Args:
        commit: Its hash, hex; empty if the folder is in no repository, or that has no commit yet.
        is_dirty: Whether the folder has changes that are not in it, or files that git does not know.
    """

    commit: str = ""
    is_dirty: bool = False


def git_state(folder: Path) -> GitState:
    """Ask git about a folder. Where there is no git, or no repository, there is no commit."""
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return GitState()
    return GitState(commit, bool(_git(folder, "status", "--porcelain", "--", ".")))


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""
