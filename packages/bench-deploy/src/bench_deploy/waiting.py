"""Waits for a server that is away."""

import math
from collections.abc import Callable

from bench_agent.patience import Patience
from bench_auth import AuthError, UnreachableError

Notice = Callable[[AuthError | None], None]
"""Told why the server is away when it goes, and None when it is back."""


def ignore(_: AuthError | None) -> None:
    """A notice that nobody wants."""


class Wait:
    """Waits for a server that is away, for ever, and says so once.

    Args:
        notice: Told when the server goes away and when it is back.
    """

    def __init__(self, notice: Notice) -> None:
        self._patience, self._notice, self._is_away = Patience(math.inf), notice, False

    def on(self, error: AuthError) -> None:
        """Wait a little.

        Raises:
            AuthError: The error, if it does not pass.
        """
        if not self._is_away and isinstance(error, UnreachableError):
            self._is_away = True
            self._notice(error)
        self._patience.wait(error)

    def progressed(self) -> None:
        """It answers."""
        self._patience.progressed()
        if self._is_away:
            self._is_away = False
            self._notice(None)


def cut_short() -> AuthError:
    """The error of a stream that ended without having brought everything."""
    return UnreachableError("the server cannot be reached (it ended the stream early)")
