"""`python -m bench_agent serve`: the agent that readers of a cache folder talk to (STREAMING.md)."""

import contextlib
import fcntl
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench_data.agent_connection import socket_address

from bench_agent.cache import Cache
from bench_agent.conversation import Conversation, Shared
from bench_agent.errors import CacheError
from bench_agent.streaming import Streaming

LOCK_SECONDS = 5.0
"""An agent that is ending holds the lock no longer than this."""


def serve(cache_folder: Path, idle_seconds: float, ready: Callable[[], None]) -> None:
    """Serve readers until there have been none for a while; return at once if another agent does.

    Args:
        cache_folder: The cache folder.
        idle_seconds: How long without a connection.
        ready: Called when readers can connect.

    Raises:
        CacheError: The folder cannot be used.
    """
    cache = Cache(cache_folder)
    lock = _lock(cache_folder / "agent")
    if lock is None:
        ready()
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    with contextlib.suppress(OSError):
        os.ftruncate(2, 0)  # the log of the agent before, where standard error is a file
    cache.scan()
    shared = Shared(Streaming(cache))
    with _listen(cache_folder) as listener:
        ready()
        _accept(listener, shared, idle_seconds)
        with contextlib.suppress(FileNotFoundError), socket_address(cache_folder) as address:
            os.unlink(address)  # if the whole cache has not been removed meanwhile
    os._exit(0)  # the threads that fetch wait for work for ever


def _lock(folder: Path) -> int | None:
    """Take the lock; None if another agent has it."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CacheError(f"{error.filename} cannot be used: {error.strerror}") from error
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)  # for people
            return lock
        except BlockingIOError:
            if _is_served(folder.parent) or time.monotonic() > deadline:
                os.close(lock)
                return None
            time.sleep(0.02)


def _is_served(cache_folder: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe, socket_address(cache_folder) as address:
        return probe.connect_ex(address) == 0


def _listen(cache_folder: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    with socket_address(cache_folder) as address:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(address)
        try:
            listener.bind(address)
        except OSError as error:
            raise CacheError(
                f"no socket can be made in {cache_folder}: {error.strerror}",
                hint="Set BENCH_CACHE_DIR to a folder on a local disk.",
            ) from error
    listener.listen(128)
    return listener


def _accept(listener: socket.socket, shared: Shared, idle_seconds: float) -> None:
    """Serve connections until there have been none for so long."""
    listener.settimeout(min(1.0, idle_seconds / 4))
    idle_since = time.monotonic()
    while time.monotonic() < idle_since + idle_seconds:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            if shared.conversations:
                idle_since = time.monotonic()
            continue
        connection.settimeout(None)
        idle_since = time.monotonic()
        conversation = Conversation(connection, shared)
        shared.conversations.add(conversation)
        threading.Thread(target=conversation.run, daemon=True).start()
