"""`python -m bench_agent track FOLDER`: a run of elsewhere, kept on the server while its script lives."""

import contextlib
import fcntl
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import grpc
from bench_auth import AlreadyExistsError, AuthError, NotFoundError, NotLoggedInError, call, open_channel
from bench_core import BenchError, keep_freed_memory
from bench_protos.tracks.v1 import tracks_pb2 as pb
from bench_protos.tracks.v1.tracks_pb2_grpc import TrackServiceStub
from google.protobuf.timestamp_pb2 import Timestamp

from bench_agent.errors import TrackFolderError
from bench_agent.patience import PATIENCE_SECONDS, Patience
from bench_agent.run.notes import Notes
from bench_agent.track.checkpoints import CheckpointSending
from bench_agent.track.shipping import TrackShipping, Way
from bench_agent.track.system import record_system

RUN, END, LOCK, AGENT_LOCK = "run.json", "end.json", "lock", "agent.lock"

BEAT_SECONDS = 5.0
LOOK_SECONDS = 0.5
"""Between looks at whether the script lives."""

SYNC_SECONDS = 30.0
"""How long `--to-the-end` waits for a server that does not answer."""

MESSAGE_CHARACTERS = 1000


@dataclass(frozen=True, kw_only=True)
class OutsideRun:
    """run.json (docs/tracking.md).

    Args:
        run_id: The run.
        project_id: Where it belongs.
        name: As the script called it, or empty.
        tags: Words.
        group: A word, or empty.
        command: The script and its arguments.
        time: When it began, Unix, in nanoseconds.
    """

    run_id: str
    project_id: str
    name: str
    tags: tuple[str, ...]
    group: str
    command: tuple[str, ...]
    time: int


def read_run(folder: Path, *, project_id: str = "") -> OutsideRun:
    """Read a folder's run.json.

    Args:
        folder: The folder.
        project_id: Where the run belongs if it was made without a project.

    Raises:
        TrackFolderError: It is not there, says what it cannot, or names no project.
    """
    try:
        document = json.loads((folder / RUN).read_bytes())
        found = OutsideRun(
            run_id=str(document["run"]),
            project_id=str(document.get("project") or project_id),
            name=str(document.get("name") or ""),
            tags=tuple(map(str, document.get("tags") or ())),
            group=str(document.get("group") or ""),
            command=tuple(map(str, document["command"])) or ("python",),
            time=int(document["time"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrackFolderError(
            f"{folder} is no folder of a tracked run: {error}", hint="`bench_track.init()` makes one."
        ) from None
    if not found.project_id:
        raise TrackFolderError(
            f"the run in {folder} belongs to no project", hint="Sync it from within a project's folder."
        )
    return found


def track(folder: Path, *, project_id: str = "", to_the_end: bool = False) -> int:
    """Keep a run on the server; the exit code.

    Args:
        folder: The run's.
        project_id: Where the run belongs if it was made without a project.
        to_the_end: Send what is there, say why if that is not possible, and end; do not wait for the script.
    """
    keep_freed_memory()
    notes = Notes(folder)
    try:
        run = read_run(folder, project_id=project_id)
        with _only_one(folder) as is_only:
            if not is_only:
                return (
                    0
                    if not to_the_end
                    else _fail(notes, "another agent sends this folder; it goes on with it")
                )
            return _Keeping(folder, run, open_channel(), notes, to_the_end=to_the_end).keep()
    except BenchError as error:
        return _fail(notes, f"{error.message}. {error.hint}" if error.hint else error.message)
    except OSError as error:
        return _fail(notes, str(error))


def _fail(notes: Notes, message: str) -> int:
    notes.say(message)
    print(message, file=sys.stderr)
    return 1


class _only_one:
    """Holds the folder against other agents; gives whether it does."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / AGENT_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def __enter__(self) -> bool:
        return _lock(self._descriptor)

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class _Keeping:
    def __init__(
        self, folder: Path, run: OutsideRun, channel: grpc.Channel, notes: Notes, *, to_the_end: bool
    ) -> None:
        self._folder, self._run, self._channel, self._notes = folder, run, channel, notes
        self._stub = TrackServiceStub(channel)
        self._to_the_end = to_the_end
        self._ended = threading.Event()
        self._done = threading.Event()
        self._names: dict[str, Any] = {"project_id": run.project_id, "run_id": run.run_id}

    def keep(self) -> int:
        patience = SYNC_SECONDS if self._to_the_end else PATIENCE_SECONDS
        self._patiently(self._start, patience)
        if self._to_the_end:
            self._ended.set()
        else:
            for work in (self._watch_script, self._beat, self._record):
                threading.Thread(target=work, daemon=True).start()
        checkpoints = CheckpointSending(
            self._folder, self._channel, self._names, self._notes.say, patience_seconds=patience
        )
        checkpoints.start()
        way = Way(append=self._stub.AppendTrack, message=pb.AppendTrackRequest, names=self._names)
        shipping = TrackShipping(self._folder, way, self._notes.say, self._ended, drain_seconds=patience)
        has_all = shipping.run()
        self._done.set()
        has_ended = has_all and not _script_lives(self._folder)
        if has_ended:
            self._patiently(self._finish, patience)
        problem = checkpoints.finish(has_ended=has_ended)
        if not has_all:
            problem = "the server does not have all of it; `bench track sync` tries again"
        return _fail(self._notes, problem) if problem else 0

    def _patiently(self, work: Callable[[], None], seconds: float) -> None:
        """Do what may fail for as long as the server is away.

        Raises:
            AuthError: It fails otherwise, or for too long.
        """
        patience = Patience(seconds)
        while True:
            try:
                return work()
            except AuthError as error:
                patience.wait(error)

    def _start(self) -> None:
        try:
            self._start_as(self._run.name)
        except AlreadyExistsError as error:
            if error.reason != "RUN_NAME_TAKEN":
                raise
            name = f"{self._run.name[:90]}-{self._run.run_id[-6:]}"
            self._notes.say(f"{error.message}; this one is {name}")
            self._start_as(name)

    def _start_as(self, name: str) -> None:
        run = self._run
        request = pb.StartRunRequest(
            **self._names, name=name, command=run.command, tags=run.tags, group=run.group
        )
        request.start_time.CopyFrom(_timestamp(run.time))
        call(self._stub.StartRun, request)

    def _watch_script(self) -> None:
        while _script_lives(self._folder):
            time.sleep(LOOK_SECONDS)
        self._ended.set()

    def _beat(self) -> None:
        while not self._done.wait(BEAT_SECONDS):
            try:
                call(self._stub.Heartbeat, pb.HeartbeatRequest(**self._names), seconds=BEAT_SECONDS)
            except (NotLoggedInError, NotFoundError):
                return
            except AuthError:
                continue  # the shipping says why

    def _record(self) -> None:
        record_system(self._folder, self._ended)

    def _finish(self) -> None:
        end = _read_end(self._folder)
        request = pb.FinishRunRequest(**self._names, reason=_reason(end))
        request.message = str(end.get("message") or "")[:MESSAGE_CHARACTERS].replace("\0", "")
        if isinstance(code := end.get("exit_code"), int) and -(1 << 31) <= code < 1 << 31:
            request.exit_code, request.has_exit_code = code, True
        when = end.get("time") if end else _last_sign(self._folder)
        if isinstance(when, int):
            request.end_time.CopyFrom(_timestamp(when))
        call(self._stub.FinishRun, request)


def _script_lives(folder: Path) -> bool:
    """Whether the script has not said its end, and holds its lock."""
    if (folder / END).exists():
        return False
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def _read_end(folder: Path) -> dict[str, Any]:
    """end.json; empty if there is none: the script is gone without a word."""
    with contextlib.suppress(OSError, ValueError):
        document = json.loads((folder / END).read_bytes())
        if isinstance(document, dict):
            return document
    return {}


def _last_sign(folder: Path) -> int | None:
    """When anything of the run was written last, Unix, in nanoseconds; None if nothing was."""
    return max((path.stat().st_mtime_ns for path in folder.glob("*.records")), default=None)


def _reason(end: dict[str, Any]) -> str:
    if end.get("state") == "failed":
        code = end.get("exit_code")
        return "failed_signal" if isinstance(code, int) and code < 0 else "failed_exit"
    reasons = {"succeeded": "succeeded", "stopped": "stopped"}
    return reasons.get(str(end.get("state")), "lost")


def _timestamp(nanoseconds: int) -> Timestamp:
    seconds, nanos = divmod(nanoseconds, 10**9)
    latest = int(datetime(9999, 1, 1, tzinfo=timezone.utc).timestamp())
    return Timestamp(seconds=min(max(0, seconds), latest), nanos=nanos)
