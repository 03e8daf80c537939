"""SIGTERM, as a training that saves checkpoints takes it (docs/tracking.md): it saves once more, and ends."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bench_track.settings import grace_seconds

EXIT_CODE = 128 + signal.SIGTERM
"""As a shell says it of a process that SIGTERM ended."""

TOGETHER_SECONDS = 2.0
"""Signals so close are one: a cluster manager signals all processes, and torchrun hands its own on."""


class Stopping:
    """Whether this process has been asked to end, and what it does about that.

    Only a training that saves checkpoints takes the signal. It goes on to its next checkpoint if it asks
    itself whether it is to end, or if the next one, by the time between the last two, is near; else it ends
    at once. A second signal, after TOGETHER_SECONDS, ends it whatever it does.

    Args:
        is_saver: Whether this process saves. Others go on, as it needs them: its end is theirs.
    """

    def __init__(self, *, is_saver: bool) -> None:
        self._is_saver, self._process = is_saver, os.getpid()
        self.has_come = False
        """Whether the signal has come."""
        self._came = 0.0  # when, monotonic
        self._is_asked_for = self._is_taken = self._is_left = False
        self._is_saving = self._is_ending = False
        self._last = time.monotonic()
        self._between: float | None = None  # from one checkpoint to the next, in s

    def look(self) -> bool:
        """Whether the signal has come, for a script that will see to it."""
        self._is_asked_for = True
        self.take()
        return self.has_come

    def take(self) -> None:
        """Take the signal, if nobody else does and Python lets this thread."""
        is_main = threading.current_thread() is threading.main_thread()
        if self._is_taken or self._is_left or not is_main:
            return
        self._is_taken = True
        handler = signal.getsignal(signal.SIGTERM)
        before = getattr(handler, "__self__", None)
        if handler is signal.SIG_DFL or (isinstance(before, Stopping) and before._is_left):
            signal.signal(signal.SIGTERM, self._come)

    def leave(self) -> None:
        """Take it no more."""
        self._is_left = True
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGTERM) == self._come:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def reach(self) -> None:
        """A checkpoint is asked for here."""
        now = time.monotonic()
        self._between, self._last = now - self._last, now

    @contextmanager
    def saving(self) -> Iterator[None]:
        """A checkpoint is made: a signal that comes meanwhile does not keep it from being the last one."""
        self._is_saving = True
        try:
            yield
        finally:
            self._is_saving = False

    def end(self) -> None:
        """End the script, if it is to end and has saved; from another thread, that one too."""
        if not (self.has_come and self._is_saver):
            return
        main = threading.main_thread()
        if threading.current_thread() is not main and signal.getsignal(signal.SIGTERM) == self._come:
            self._is_ending = True
            signal.pthread_kill(main.ident or 0, signal.SIGTERM)  # SystemExit ends its own thread only
        sys.exit(EXIT_CODE)

    def _come(self, number: int, frame: FrameType | None) -> None:
        if self._is_ending:
            self._is_ending = False
            sys.exit(EXIT_CODE)
        if self._process != os.getpid() or self._is_left or (self.has_come and not self._is_together()):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a forked child, for one, has nothing to save
            os.kill(os.getpid(), signal.SIGTERM)
        elif not self.has_come:
            self.has_come, self._came = True, time.monotonic()
            if self._is_saver and not (self._is_saving or self._is_asked_for or self._is_next_near()):
                sys.exit(EXIT_CODE)

    def _is_together(self) -> bool:
        return time.monotonic() - self._came < TOGETHER_SECONDS

    def _is_next_near(self) -> bool:
        """Within half of the grace; the other half is for the writing."""
        return self._between is not None and (
            self._last + self._between - time.monotonic() < grace_seconds() / 2
        )
