"""How long a transfer goes on trying."""

import threading
import time

from bench_auth import AuthError, ServerAnswerError, ServerFailedError, TimedOutError, UnreachableError

PATIENCE_SECONDS = 300.0
"""A server that is away for longer has to be looked at by somebody."""

PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Between attempts; the last one stays."""

WAITED_FOR = ("UPLOAD_IN_PROGRESS", "TOO_MANY_STREAMS", "OFFSET_MISMATCH")
"""Refusals that pass: the server still holds a call of ours that broke, or is busy."""


class Patience:
    """One transfer's; shared by its threads.

    Args:
        seconds: How long without progress.
    """

    def __init__(self, seconds: float = PATIENCE_SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._since: float | None = None
        self._attempts = 0

    def progressed(self) -> None:
        """Bytes have arrived."""
        with self._lock:
            self._since, self._attempts = None, 0

    def wait(self, error: AuthError) -> None:
        """Wait before the next attempt.

        Raises:
            AuthError: The error, if it does not pass or has not passed for too long.
        """
        with self._lock:
            now = time.monotonic()
            self._since = now if self._since is None else self._since
            pause = PAUSES_SECONDS[min(self._attempts, len(PAUSES_SECONDS) - 1)]
            self._attempts += 1
            if not _may_pass(error) or now - self._since > self._seconds:
                raise error
        time.sleep(pause)


def _may_pass(error: AuthError) -> bool:
    if isinstance(error, ServerAnswerError) and error.reason in WAITED_FOR:
        return True
    # A cut connection can end a stream with almost any status; the server's own answers have a reason.
    cut = isinstance(error, ServerFailedError) and not error.reason
    return cut or isinstance(error, (UnreachableError, TimedOutError))
