"""Counts the bytes of a transfer, for whoever watches."""

import threading
from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with the bytes that are over, and all that have to be."""


class Count:
    """Of one transfer; shared by its threads.

    Args:
        progress: See Progress.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._total = 0
        self.moved_bytes = self.spared_bytes = 0

    def wanted(self, count: int) -> None:
        """So many more have to be over."""
        with self._lock:
            self._total += count
            self._say()

    def moved(self, count: int) -> None:
        """So many went over; negative: have to go again."""
        with self._lock:
            self.moved_bytes += count
            self._say()

    def spared(self, count: int) -> None:
        """So many are there without having gone over."""
        with self._lock:
            self.spared_bytes += count
            self._say()

    def _say(self) -> None:
        self._progress(max(0, self.moved_bytes + self.spared_bytes), self._total)
