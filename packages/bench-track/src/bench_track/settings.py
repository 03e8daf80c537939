"""The environment variables that bench-track reads, and what they say."""

import os
import sys
from pathlib import Path

TRACK_VARIABLE = "BENCH_TRACK"
"""In a run: the folder of its spool."""

OUTPUT_VARIABLE = "BENCH_OUTPUT"
"""In a run: the folder that is kept; checkpoints are in it."""

RUN_VARIABLE = "BENCH_RUN"
"""In a run: its id."""

RUN_NAME_VARIABLE = "BENCH_RUN_NAME"
"""In a run: its name."""

GRACE_VARIABLE = "BENCH_GRACE_SECONDS"
"""In a run: how long it has from SIGTERM to SIGKILL, in seconds."""

DEFAULT_GRACE_SECONDS = 30.0
"""Elsewhere: what launchers and cluster managers give."""

TRACK_ROOT_VARIABLE = "BENCH_TRACK_ROOT"
"""Where runs elsewhere have their folders."""


def track_root() -> Path:
    """The folder of the runs that are made outside of a server: `$BENCH_TRACK_ROOT`, else the platform's."""
    if named := os.environ.get(TRACK_ROOT_VARIABLE):
        return Path(named).absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "bench" / "track"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "bench" / "track"


def grace_seconds() -> float:
    """How long this process has from SIGTERM to SIGKILL, in seconds."""
    try:
        return float(os.environ.get(GRACE_VARIABLE) or DEFAULT_GRACE_SECONDS)
    except ValueError:
        return DEFAULT_GRACE_SECONDS


def own_rank() -> int:
    """This process's rank: of torch.distributed, else of the launcher's variables, else 0."""
    distributed = getattr(sys.modules.get("torch"), "distributed", None)
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank())
    # Lightning's own launcher sets LOCAL_RANK alone: no other than 0 is the first.
    found = os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or ""
    return int(found) if found.isdecimal() else 0
