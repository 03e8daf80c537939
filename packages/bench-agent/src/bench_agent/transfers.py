"""A push, a pull, a write's chunks, or the agent of a cache, told in JSON lines (README.md)."""

import argparse
import json
import os
import signal
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from queue import Queue
from typing import Any

import grpc
from bench_auth import NotLoggedInError, open_channel
from bench_core import BenchError, keep_freed_memory

from bench_agent.daemon import serve
from bench_agent.errors import NoLoginError
from bench_agent.pull import pull
from bench_agent.push import push
from bench_agent.send import Request, send

PROGRESS_SECONDS = 0.1
"""Between two lines about progress."""


def transfer(parsed: argparse.Namespace) -> int:
    """Push, pull or send what the arguments say; the exit code."""
    keep_freed_memory()
    if parsed.with_parent:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the group; the parent ends this
    if parsed.with_parent and parsed.command != "send":
        threading.Thread(target=_follow_parent, daemon=True).start()
    progress = _Progress()
    try:
        done = _transfer(parsed, _channel(), progress)
    except BenchError as error:
        say("error", type=type(error).__name__, message=error.message, hint=error.hint)
        return 1
    except OSError as error:
        say("error", type="OSError", message=str(error), hint=None)
        return 1
    if parsed.command != "send":
        progress.last()
    say("done", **asdict(done))
    return 0


def _transfer(parsed: argparse.Namespace, channel: grpc.Channel, progress: "_Progress") -> Any:
    if parsed.command == "send":
        return send(channel, parsed.project, _requests(), say)
    if parsed.command == "push":
        path = parsed.manifest
        return push(channel, parsed.project, parsed.folder, parsed.name, progress, manifest_path=path)
    version = parsed.version
    return pull(channel, parsed.project, parsed.name, parsed.into, version_number=version, progress=progress)


def _channel() -> grpc.Channel:
    try:
        return open_channel()
    except NotLoggedInError as error:  # unlike one of the server's: nobody ever logged in here
        raise NoLoginError(error.message, hint=error.hint) from None


def serve_cache(cache: Path, idle_seconds: float) -> int:
    """Be the agent of a cache; the exit code."""
    keep_freed_memory()

    def ready() -> None:
        say("ready")
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)  # whoever waits for that line sees the end
        os.close(nowhere)

    try:
        serve(cache, idle_seconds, ready)
    except BenchError as error:
        say("error", type=type(error).__name__, message=error.message, hint=error.hint)
        return 1
    return 0


def say(event: str, **fields: Any) -> None:
    """Print one line."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")  # at once: several threads may speak
    sys.stdout.flush()


class _Progress:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said = 0.0
        self._latest = (0, 0)

    def __call__(self, count: int, total: int) -> None:
        with self._lock:
            self._latest = (count, total)
            if time.monotonic() < self._said + PROGRESS_SECONDS:
                return
            self._said = time.monotonic()
            self.last()

    def last(self) -> None:
        say("progress", bytes=self._latest[0], total_bytes=self._latest[1])


def _requests() -> "Queue[Request]":
    """What comes on standard input; when that closes, this process ends."""
    requests: Queue[Request] = Queue()

    def read() -> None:
        with open(0, "rb", closefd=False) as lines:  # not sys.stdin, as below
            for line in lines:
                requests.put(json.loads(line))
        os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    return requests


def _follow_parent() -> None:
    os.read(0, 1)  # not sys.stdin, whose lock the interpreter wants at its end
    os._exit(1)
