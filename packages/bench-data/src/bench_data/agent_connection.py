"""This process's connection to the agent of a cache folder (bench-agent's STREAMING.md).

Nothing here imports gRPC. A connection belongs to the process that opened it: a forked child opens its own.
"""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench_core import CACHE_BYTES_VARIABLE

from bench_data.errors import CloudError

PROTOCOL_VERSION = 1

SETTINGS = ("BENCH_TOKEN", "BENCH_CONFIG_DIR", CACHE_BYTES_VARIABLE)
"""The variables of this process that decide what the agent does for it."""

START_SECONDS = 30.0
"""An agent that does not listen after so long never will."""

START_DEATHS = 5
"""So often may one die before it listens."""

SILENCE_SECONDS = 60.0
"""An agent says something every second while it makes somebody wait."""

RESTARTS = 20
"""So often in a row may an agent die over one request."""

MAX_ADDRESS = 100
"""Bytes; Linux takes 107 in a socket's path, macOS 103."""

LAUNCHER = "import os, sys; os.fork() and os._exit(0); os.setsid(); os.execv(sys.argv[1], sys.argv[1:])"
"""Makes the agent nobody's child: it outlives the training, and no zombie is left of it."""

Heard = Callable[[dict[str, Any]], None]


@contextmanager
def socket_address(cache: Path) -> Iterator[str]:
    """The address of the agent's socket, short enough for the system while the block runs."""
    path = cache / "agent" / "socket"
    if len(os.fsencode(path)) <= MAX_ADDRESS:
        yield str(path)
        return
    if not os.path.isdir("/proc/self/fd"):
        raise CloudError(
            f"{cache} is too long for a socket's path", hint="Set BENCH_CACHE_DIR to a shorter one."
        )
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/socket"
    finally:
        os.close(folder)


class AgentConnection:
    """The way to the agent of one cache folder; opened when needed, and again when it broke.

    Args:
        cache: The cache folder.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._received = b""
        self._requests = 0
        self.opened = 0
        """How often it was opened: with another number, it may be an agent that knows nothing of us."""

    def request(self, fields: dict[str, Any], heard: Heard = lambda _: None) -> dict[str, Any]:
        """Ask and wait for the answer, with the next agent if this one dies.

        Args:
            fields: The request.
            heard: Takes the events that come before the answer.

        Raises:
            CloudError: The agent says so, or there can be none.
        """
        with self._lock:
            for _ in range(RESTARTS):
                try:
                    if self._socket is None and not self._dial():
                        self._start()
                    return self._ask(fields, heard)
                except OSError:
                    self.close()
                except BaseException:
                    self.close()  # the answer is still to come
                    raise
        raise CloudError(f"the agent ended {RESTARTS} times over one request", hint=self._log_hint())

    def tell(self, fields: dict[str, Any]) -> bool:
        """Say something that has no answer, without ever waiting; whether an agent heard it."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self._socket is None and not self._dial():
                return False
            return self._send_at_once(fields)
        except OSError:
            self.close()
            return False
        finally:
            self._lock.release()

    def close(self) -> None:
        """Let the connection go; it is opened again when needed."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._received = None, b""

    def _ask(self, fields: dict[str, Any], heard: Heard) -> dict[str, Any]:
        self._requests += 1
        assert self._socket is not None
        self._socket.sendall(_line({**fields, "id": self._requests}))
        while True:
            said = self._read_line()
            if said.get("id") != self._requests:
                continue
            if "event" in said:
                heard(said)
            elif "error" in said:
                raise CloudError(said["error"]["message"], hint=said["error"]["hint"])
            else:
                return said

    def _send_at_once(self, fields: dict[str, Any]) -> bool:
        assert self._socket is not None
        line = _line(fields)
        if not select.select([], [self._socket], [], 0)[1]:
            return False
        self._socket.setblocking(False)
        try:
            sent = self._socket.send(line)
        except BlockingIOError:
            return False
        finally:
            self._socket.settimeout(SILENCE_SECONDS)
        if sent < len(line):
            self._socket.sendall(line[sent:])
        return True

    def _read_line(self) -> dict[str, Any]:
        assert self._socket is not None
        while b"\n" not in self._received:
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                raise CloudError(
                    f"the agent of {self._cache} does not answer",
                    hint=f"Stop that process, whose number is in {self._cache / 'agent' / 'lock'}.",
                ) from None
            if not data:
                raise ConnectionResetError
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return dict(json.loads(line))

    def _dial(self) -> bool:
        """Connect; False if nobody listens."""
        made = socket.socket(socket.AF_UNIX)
        try:
            made.settimeout(SILENCE_SECONDS)
            with socket_address(self._cache) as address:
                made.connect(address)
            settings = {name: os.environ[name] for name in SETTINGS if name in os.environ}
            hello = {"request": "hello", "version": PROTOCOL_VERSION, "settings": settings}
            made.sendall(_line({**hello, "group": os.getpgid(0)}))
        except OSError:
            made.close()
            return False
        self._socket = made
        self.opened += 1
        return True

    def _start(self) -> None:
        """Start an agent, or wait for the one that another process has started, and connect to it."""
        if find_spec("bench_agent") is None:
            raise CloudError(
                "bench-agent is not installed, which does the network",
                hint="pip install ./packages/bench-agent",
            )
        deadline, deaths = time.monotonic() + START_SECONDS, 0
        while time.monotonic() < deadline and deaths < START_DEATHS:
            if not self._launch(deadline):
                deaths += 1
            elif self._dial():
                return
        if deaths:
            raise CloudError(f"the agent of {self._cache} does not start", hint=self._log_hint())
        raise CloudError(
            f"the agent of {self._cache} cannot be reached",
            hint="Does another machine use this folder? Set BENCH_CACHE_DIR to one of this machine.",
        )

    def _launch(self, deadline: float) -> bool:
        """Start an agent; whether it, or another one, says that it is ready."""
        folder = self._cache / "agent"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CloudError(
                f"{error.filename} cannot be made: {error.strerror}",
                hint="Set BENCH_CACHE_DIR to another folder.",
            ) from error
        agent = [sys.executable, "-m", "bench_agent", "serve", "--cache", str(self._cache)]
        command = [sys.executable, "-I", "-S", "-c", LAUNCHER, *agent]
        try:
            # Not in the user's folder: python -m would import modules from there.
            with subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd=folder
            ) as launcher:
                assert launcher.stdout is not None
                return self._await_ready(launcher.stdout, deadline)
        finally:
            os.close(log)

    def _await_ready(self, said: Any, deadline: float) -> bool:
        if not select.select([said], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        try:
            event = json.loads(said.readline())
        except ValueError:
            return False  # it was killed, or failed: the log says
        if event["event"] == "error":
            raise CloudError(event["message"], hint=event["hint"] or self._log_hint())
        return True

    def _log_hint(self) -> str:
        return f"Its log is {self._cache / 'agent' / 'log'}."


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode() + b"\n"


_connections: dict[Path, AgentConnection] = {}


def agent_of(cache: Path) -> AgentConnection:
    """This process's connection to the agent of a cache folder."""
    return _connections.setdefault(cache, AgentConnection(cache))


def _forget() -> None:
    for connection in _connections.values():
        with contextlib.suppress(OSError):
            connection.close()
    _connections.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
