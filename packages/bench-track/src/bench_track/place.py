"""Where a run writes: within runs of a server what the environment says, elsewhere a folder that is made."""

import fcntl
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_core import PROJECT_VARIABLE, BenchError, atomic_write, find_project, read_project

from bench_track.errors import TrackError
from bench_track.settings import (
    OUTPUT_VARIABLE,
    RUN_NAME_VARIABLE,
    RUN_VARIABLE,
    TRACK_VARIABLE,
    track_root,
)

VERSION = 1

COMMAND_BYTES, COMMAND_WORDS = 60_000, 1000
"""What the server takes of a command is a little more."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run writes.

    Args:
        run_id: The run; empty if nobody says.
        name: Its name; None: the server makes one.
        spool: The folder of its spool.
        checkpoints: That of its checkpoints.
        is_outside: Whether it is a run outside of a server's.
        lock: The descriptor that holds `lock`, outside.
    """

    run_id: str
    name: str | None
    spool: Path
    checkpoints: Path
    is_outside: bool = False
    lock: int | None = None

    def end(self, state: str, exit_code: int | None, message: str | None) -> None:
        """Outside: say how the run ended, and let go of it. A full disk leaves it `lost`."""
        if self.lock is None:
            return
        fields = {"version": VERSION, "state": state, "exit_code": exit_code, "message": message}
        try:
            _write(self.spool / "end.json", {**fields, "time": time.time_ns()})
        except OSError as error:
            print(f"bench_track: the end of the run is not said in {self.spool}: {error}", file=sys.stderr)
        os.close(self.lock)


def place_within() -> Place | None:
    """That of the run that this process is in, if it is in one."""
    named = os.environ.get(TRACK_VARIABLE)
    if not named:
        return None
    spool = Path(named).absolute()
    return Place(
        run_id=os.environ.get(RUN_VARIABLE, ""),
        name=os.environ.get(RUN_NAME_VARIABLE) or None,
        spool=spool,
        checkpoints=_checkpoints(spool),
    )


def _checkpoints(folder: Path) -> Path:
    return Path(os.environ.get(OUTPUT_VARIABLE) or folder).absolute() / "checkpoints"


def place_of(folder: Path) -> Place:
    """That of a run outside which another process has made, or nobody: for a rank that does not write."""
    return Place(
        run_id=folder.name, name=None, spool=folder, checkpoints=_checkpoints(folder), is_outside=True
    )


def make_place(*, project: str | None, name: str | None, tags: Sequence[str], group: str | None) -> Place:
    """A folder for a run outside, and an agent for it where a project is known.

    Args:
        project: The project's id; None: the environment or the nearest bench.toml says it.
        name: The run's.
        tags: Words.
        group: A word.

    Raises:
        TrackError: The folder cannot be made.
    """
    run_id = _uuid7()
    folder = track_root() / run_id
    found = project or _known_project()
    document = {
        "version": VERSION,
        "run": run_id,
        "project": found,
        "name": name,
        "tags": list(tags),
        "group": group,
        "command": _command(sys.argv),
        "work": os.getcwd(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "python": sys.version.split()[0],
        "time": time.time_ns(),
    }
    try:
        folder.mkdir(parents=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(lock, fcntl.LOCK_EX)
        _write(folder / "run.json", document)
    except OSError as error:
        raise TrackError(
            f"the run's folder {folder} cannot be made: {error.strerror}",
            hint="Set BENCH_TRACK_ROOT to a folder that can be written.",
        ) from None
    if found:
        _start_agent(folder)
    return Place(
        run_id=run_id,
        name=name,
        spool=folder,
        checkpoints=_checkpoints(folder),
        is_outside=True,
        lock=lock,
    )


def _known_project() -> str | None:
    if named := os.environ.get(PROJECT_VARIABLE):
        return named
    folder = find_project()
    try:
        return read_project(folder).id if folder else None
    except BenchError as error:
        print(f"bench_track: the run belongs to no project: {error.message}", file=sys.stderr)
        return None


def _start_agent(folder: Path) -> None:
    if importlib.util.find_spec("bench_agent") is None:
        return
    words = [sys.executable, "-m", "bench_agent", "track", str(folder)]
    try:
        with open(folder / "agent.log", "ab") as log:
            agent = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
    except OSError as error:
        print(f"bench_track: {folder} is not sent for now: {error}", file=sys.stderr)
        return
    threading.Thread(target=agent.wait, name="bench_track agent", daemon=True).start()  # no zombie stays


def _command(words: Sequence[str]) -> list[str]:
    """As much of a command as the server takes."""
    found, left = [], COMMAND_BYTES
    for word in words[:COMMAND_WORDS]:
        text = word.replace("\0", "").encode("utf-8", "replace").decode()
        left -= len(text.encode()) + 1
        if left < 0:
            break
        found.append(text)
    return found if any(found) else ["python"]


def _write(path: Path, document: dict[str, Any]) -> None:
    atomic_write(path, json.dumps(document).encode())


def _uuid7() -> str:
    """RFC 9562's version 7; Python has it from 3.14 on."""
    milliseconds = time.time_ns() // 1_000_000
    bits = milliseconds << 80 | int.from_bytes(os.urandom(10), "big")
    bits = bits & ~(0xF << 76) | 0x7 << 76
    bits = bits & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=bits))
