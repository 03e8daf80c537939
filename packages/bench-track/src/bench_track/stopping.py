"""SIGTERM, as a training that saves checkpoints takes it (docs/tracking.md): it saves once more, and ends."""

import os
import signal
import sys
import threading
import time
from types import FrameType

from bench_track.settings import grace_seconds

EXIT_CODE = 128 + signal.SIGTERM
"""As a shell says it of a process that SIGTERM ended."""


class Stopping:
    """Whether this process has been asked to end, and what it does about that.

    Only a training that saves checkpoints takes the signal. It goes on to its next checkpoint if it asks
    itself whether it is to end, or if the next one, by the time between the last two, is near; else it ends
    at once. A second signal ends it whatever it does.

    Args:
        is_saver: Whether this process saves. Others go on, as it needs them: its end is theirs.
    """

    def __init__(self, *, is_saver: bool) -> None:
        self._is_saver, self._process = is_saver, os.getpid()
        self.has_come = False
        """Whether the signal has come."""
        self._is_asked_for = self._is_taken = False
        self._last = time.monotonic()
        self._between: float | None = None  # from one checkpoint to the next, in s

    def look(self) -> bool:
        """Whether the signal has come, for a script that will see to it."""
        self._is_asked_for = True
        self.take()
        return self.has_come

    def take(self) -> None:
        """Take the signal, if nobody else does and Python lets this thread."""
        if self._is_taken or threading.current_thread() is not threading.main_thread():
            return
        self._is_taken = True
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._come)

    def leave(self) -> None:
        """Take it no more."""
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGTERM) == self._come:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def reach(self) -> None:
        """A checkpoint is asked for here."""
        now = time.monotonic()
        self._between, self._last = now - self._last, now

    def end(self) -> None:
        """End the script, if it is to end and has saved."""
        if self.has_come and self._is_saver:
            sys.exit(EXIT_CODE)

    def _come(self, number: int, frame: FrameType | None) -> None:
        if self.has_come or self._process != os.getpid():  # a forked child has nothing to save
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        self.has_come = True
        if self._is_saver and not self._is_asked_for and not self._is_next_near():
            sys.exit(EXIT_CODE)

    def _is_next_near(self) -> bool:
        """Within half of the grace; the other half is for the writing."""
        return self._between is not None and (
            self._last + self._between - time.monotonic() < grace_seconds() / 2
        )
