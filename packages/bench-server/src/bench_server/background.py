"""A server that goes on when the command that started it has ended: start it, stop it, bound its log."""

import contextlib
import datetime
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from bench_server.data_folder import DataFolder, open_folder
from bench_server.errors import CrashedError, FolderError, ServerError
from bench_server.running import READY_VARIABLE, RunningServer, running_server
from bench_server.supervisor import KILL_SECONDS

STOP_SECONDS = KILL_SECONDS + 10
"""The supervisor kills what does not end; a server that takes longer than that hangs."""

LOG_BYTES = 16 << 20
"""A log that has grown beyond this becomes `server.log.1`."""

LOG_LOOK_SECONDS = 10.0
"""Between two looks at the log's size."""

TAIL_LINES = 20
"""Of the log, shown when a start failed."""


def start(data: Path, arguments: Sequence[str] = ()) -> RunningServer:
    """Start a server in the background and return when it is ready.

    Args:
        data: Its folder; made if absent.
        arguments: More for `bench-server start`; paths among them are absolute.

    Raises:
        FolderError: The folder cannot be used, or a server runs with it.
        CrashedError: The server ended before it was ready.
    """
    folder = open_folder(data, create=True)
    if server := running_server(folder):
        raise FolderError(
            f"a server runs with {folder.path} already (process {server.pid})",
            hint="Stop it, or name another folder with --data.",
        )
    try:
        _turn(folder.log)
        with folder.log.open("ab") as log:
            begin = log.tell()
            is_ready = _spawn(folder, ["start", "--data", str(folder.path), *arguments], log.fileno())
    except OSError as error:
        raise FolderError(f"{error.filename or folder.path}: {error.strerror}") from error
    server = running_server(folder) if is_ready else None
    if server is None:
        raise _crashed(folder.log, begin)
    return server


def stop(data: Path) -> RunningServer | None:
    """End the server of a folder, and return when it has; None if none runs.

    Args:
        data: Its folder.

    Raises:
        ServerError: It belongs to another user, or does not end.
    """
    server = running_server(open_folder(data))
    process = server.process() if server else None
    if server is None or process is None:
        return None
    try:
        process.terminate()
    except psutil.AccessDenied:
        raise ServerError(
            f"the server (process {server.pid}) belongs to another user", hint="Stop it as that user."
        ) from None
    except psutil.NoSuchProcess:
        return server
    deadline = time.monotonic() + STOP_SECONDS
    while server.process():
        if time.monotonic() > deadline:
            raise ServerError(
                f"the server (process {server.pid}) has not ended after {STOP_SECONDS:.0f} s",
                hint=f"Look into its log, then: kill -9 {server.pid}",
            )
        time.sleep(0.05)
    return server


def restart(data: Path) -> RunningServer:
    """Stop the server of a folder and start it with the same arguments.

    Raises:
        ServerError: None runs there, or it does not run in the background; as `start` and `stop`.
    """
    folder = open_folder(data)
    server = running_server(folder)
    if server is None:
        raise ServerError(f"no server runs with {folder.path}", hint="Start it: `bench server start`.")
    if not server.in_background:
        raise ServerError(
            f"the server (process {server.pid}) was not started in the background",
            hint="Restart it with what started it.",
        )
    stop(data)
    return start(data, server.arguments[3:])  # behind start --data FOLDER


def _spawn(folder: DataFolder, command: Sequence[str], log: int) -> bool:
    """Start the process, and wait until it is ready (True) or has ended."""
    ours, theirs = os.pipe()
    with open(ours, "rb", buffering=0) as pipe:
        try:
            os.write(log, f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M:%S%z} starting\n".encode())
            process = subprocess.Popen(
                [sys.executable, "-m", "bench_server", *command],
                cwd=folder.path,
                env={**os.environ, READY_VARIABLE: str(theirs)},
                pass_fds=[theirs],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(theirs)
        try:
            is_ready = pipe.read(1) == b"+"
        except BaseException:  # Ctrl-C
            process.terminate()
            process.wait()
            raise
        if is_ready:
            process.returncode = 0  # left to itself from now on, so that Popen does not warn of it
        else:
            process.wait()
        return is_ready


def _crashed(log: Path, begin: int) -> CrashedError:
    """What the log says of a server that did not start."""
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode(errors="replace").splitlines()[1:]
    for number, line in enumerate(lines):
        if line.startswith("Error: "):
            following = "".join(lines[number + 1 : number + 2])
            hint = following.removeprefix("Hint: ") if following.startswith("Hint: ") else None
            # A process that ended without such a line has left a traceback; all else is gRPC's own.
            begun = next((at for at in range(number) if lines[at].startswith("Traceback")), number)
            before = lines[max(begun, number - TAIL_LINES) : number]
            return CrashedError(line.removeprefix("Error: "), hint=hint, log_tail=before)
    return CrashedError(
        "the server ended before it was ready", hint=f"Its log: {log}", log_tail=lines[-TAIL_LINES:]
    )


@contextlib.contextmanager
def bounded_log(log: Path) -> Iterator[None]:
    """Keep a log bounded while the block runs."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(LOG_LOOK_SECONDS):
            with contextlib.suppress(OSError):
                _turn(log)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _turn(log: Path) -> None:
    """Begin a log anew if it is long; processes that write to it go on doing so."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)
