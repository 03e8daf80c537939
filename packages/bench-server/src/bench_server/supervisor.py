"""Starts the server's processes, starts them again when they die, and ends them in good order."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench_server.child import DRAIN_SECONDS, SOCKET_VARIABLE
from bench_server.errors import StartError

READY_SECONDS = 120.0
"""A child that is not ready after so long never will be; on a machine with much to do it takes a while."""

KILL_SECONDS = DRAIN_SECONDS + 10
"""A child that still runs so long after SIGTERM is killed."""

RESTART_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses before a child that died is started again; the last one stays."""

SETTLED_SECONDS = 60.0
"""A child that ran so long begins with the first pause again."""


@dataclass
class Child:
    """A process of the server.

    Args:
        name: For messages.
        command: The arguments of the interpreter.
    """

    name: str
    command: Sequence[str]
    process: "subprocess.Popen[bytes] | None" = None
    deaths: int = 0
    started: float = 0.0
    start_at: float = 0.0
    lifeline: socket.socket | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start the process; it is not ready yet."""
        ours, theirs = socket.socketpair()
        environment = {"GRPC_VERBOSITY": "ERROR", **os.environ, SOCKET_VARIABLE: str(theirs.fileno())}
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, *self.command], env=environment, pass_fds=[theirs.fileno()]
            )
        self.lifeline, self.started = ours, time.monotonic()

    def wait_ready(self, seconds: float) -> bool:
        """Whether the process says so within that time; False as soon as it ends."""
        assert self.lifeline is not None
        readable, _, _ = select.select([self.lifeline], [], [], seconds)
        return bool(readable) and self.lifeline.recv(1) == b"+"

    def tell_all_ready(self) -> None:
        """Let the process begin with what it says and does of its own accord."""
        assert self.lifeline is not None
        with contextlib.suppress(OSError):  # it has died, which is seen later
            self.lifeline.send(b"+")

    def has_died(self) -> bool:
        """Whether the process has ended."""
        return self.process is not None and self.process.poll() is not None

    def end(self, deadline: float) -> None:
        """Wait for the process until then, and kill it if it still runs."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Supervisor:
    """Keeps children running until it is told to stop.

    Args:
        children: The processes.
        say: Takes a line about what happens.
    """

    def __init__(self, children: Sequence[Child], say: Callable[[str], None]) -> None:
        self._children = children
        self._say = say
        self._told = False

    def run(self, ready: Callable[[], None]) -> None:
        """Start the children and return when SIGTERM or SIGINT has ended them.

        Args:
            ready: Called once, when all are ready.

        Raises:
            StartError: One did not become ready; the others are ended.
        """
        before = {
            number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            self._start_all()
            if not self._told:
                ready()
                for child in self._children:
                    child.tell_all_ready()
            while not self._told:
                self._revive()
                time.sleep(0.1)
        finally:
            self._end_all()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, *_: object) -> None:
        self._told = True

    def _start_all(self) -> None:
        for child in self._children:
            child.start()
        deadline = time.monotonic() + READY_SECONDS
        for child in self._children:
            if not child.wait_ready(deadline - time.monotonic()) and not self._told:
                raise StartError(f"the {child.name} process did not start", hint="It said why above.")

    def _revive(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.has_died():
                assert child.process is not None
                child.deaths = 1 if now - child.started > SETTLED_SECONDS else child.deaths + 1
                pause = RESTART_SECONDS[min(child.deaths, len(RESTART_SECONDS)) - 1]
                self._say(
                    f"the {child.name} process ended ({child.process.returncode}); again in {pause:g} s"
                )
                child.process, child.start_at = None, now + pause
            elif child.process is None and now >= child.start_at:
                child.start()
                child.tell_all_ready()

    def _end_all(self) -> None:
        running = [child for child in self._children if child.process is not None]
        for child in running:
            assert child.process is not None
            child.process.terminate()
        deadline = time.monotonic() + KILL_SECONDS
        for child in running:
            child.end(deadline)
