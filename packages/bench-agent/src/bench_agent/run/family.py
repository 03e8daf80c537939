"""The processes that descend from this one: it reaps those whose parents are gone, and can end them all."""

import contextlib
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

SET_CHILD_SUBREAPER = 36
"""Of prctl(2)."""

END_SECONDS = 5.0
"""A killed process ends at once, unless it waits for a device; that one is left to the container's end."""


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own. Outside of Linux this does nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_all() -> bool:
    """Kill all that descends from this process, and reap it; whether all of it has ended.

    Who is killed leaves its children to this process, until none is left.
    """
    deadline = time.monotonic() + END_SECONDS
    while _reap():
        for child in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def _reap() -> bool:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _children() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _parent(path) == os.getpid()]


def _parent(process: Path) -> int | None:
    try:
        stat = (process / "stat").read_text(errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])  # behind the name, which may have spaces and brackets
