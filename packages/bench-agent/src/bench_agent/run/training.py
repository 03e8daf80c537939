"""The training as a child process: its start, its signals, its end."""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from types import FrameType

from bench_agent.run.family import end_all

FORWARDED = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How the training ended.

    Args:
        exit_code: None where a signal ended it, or it never started.
        signal: That ended it.
        received_sigterm: Whether this process was asked to end before the training did.
        start_time: When it started.
        end_time: When it ended.
        error: Why it could not be started.
    """

    exit_code: int | None = None
    signal: int | None = None
    received_sigterm: bool = False
    start_time: datetime
    end_time: datetime
    error: str | None = None


class Signals:
    """The signals that this process gets, one after another. None is lost, from the making of this on."""

    def __init__(self) -> None:
        self._reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (*FORWARDED, signal.SIGCHLD):
            signal.signal(number, _ignore)

    def wait(self, seconds: float | None) -> set[int]:
        """Those that came since the last call; waits for one, no longer than so many seconds."""
        select.select([self._reading], [], [], seconds)
        try:
            return set(os.read(self._reading, 1 << 12))
        except BlockingIOError:
            return set()


def _ignore(number: int, frame: FrameType | None) -> None:
    """What it takes for Python to tell the wake-up pipe, and for a child to start with the default."""


class Training:
    """A training that runs.

    Args:
        command: Its program and arguments.
        work: Its working directory.
        environment: All of its variables.
        output: The file of both its output streams, open.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(
        self, command: Iterable[str], work: str, environment: Mapping[str, str], output: int
    ) -> None:
        self.start_time = datetime.now(timezone.utc)
        self._process = subprocess.Popen(
            list(command),
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # its processes are a group, which gets the signals
        )
        self._status: int | None = None

    def wait(self, signals: Signals, grace_seconds: float) -> Ended:
        """Wait for its end, and forward signals until then; afterwards no process of it is left.

        Args:
            signals: Of this process.
            grace_seconds: How long it has from the first signal on.
        """
        deadline: float | None = None  # of its grace
        asked: set[int] = set()
        while not self._reap():
            came = signals.wait(deadline and max(0.0, deadline - time.monotonic()))
            # Each once: the training may be saving when another one comes.
            for number in came.intersection(FORWARDED) - asked:
                self._signal(number)
                deadline = deadline if asked else time.monotonic() + grace_seconds
                asked.add(number)
            if deadline and time.monotonic() >= deadline:
                self._signal(signal.SIGKILL)
                deadline = None
        end_time = datetime.now(timezone.utc)
        end_all()
        code = os.waitstatus_to_exitcode(self._status or 0)
        return Ended(
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            received_sigterm=bool(asked),
            start_time=self.start_time,
            end_time=end_time,
        )

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _reap(self) -> bool:
        """Reap what has ended; whether the training is among it."""
        while self._status is None:
            try:
                # Looked at first: until it is reaped, no other process can get its number, nor its group's.
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return True
            if ended is None:
                return False
            is_training = ended.si_pid == self._process.pid
            if is_training:
                self._signal(signal.SIGKILL)
            _, status = os.waitpid(ended.si_pid, 0)
            if is_training:
                self._status = status
                self._process.returncode = status  # subprocess need not look for it
        return True
