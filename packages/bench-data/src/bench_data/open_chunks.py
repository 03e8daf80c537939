"""Keeps no more chunks open in this process than the system allows."""

import resource
import weakref
from collections import OrderedDict
from typing import Any, Protocol

from bench_data.zip_reader import DESCRIPTORS_EACH

MAX_OPEN = 4096
"""Chunks: 256 GB of data, and far below the number of maps that Linux allows (65,530)."""


class Closable(Protocol):
    """What can be let go, and opens itself again when it is used."""

    used: bool
    """Whether it was used since it was last looked at."""

    def close(self) -> None:
        """Let the file go."""


class OpenChunks:
    """The open chunks of this process; it does not keep them alive.

    Room is made by second chance (Corbato's clock, 1968), because to note a use must cost next to nothing.
    """

    def __init__(self) -> None:
        self._chunks: OrderedDict[int, weakref.ref[Any]] = OrderedDict()

    def admit(self, chunk: Closable) -> None:
        """Make room for one that is about to be opened."""
        number = id(chunk)
        while len(self._chunks) >= open_limit(len(self._chunks)):
            number_of_oldest, reference = self._chunks.popitem(last=False)
            oldest = reference()
            if oldest is not None and oldest.used:
                oldest.used = False
                self._chunks[number_of_oldest] = reference
            elif oldest is not None:
                oldest.close()
        self._chunks[number] = weakref.ref(chunk, lambda _: self._chunks.pop(number, None))


def open_limit(wanted: int) -> int:
    """How many chunks may be open: they take at most half of the file descriptors of this process.

    Args:
        wanted: How many are. If that is too many, the soft limit of the process is raised as far as it may:
            to open a chunk again for every sample would be some hundred times slower than to read it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _chunks_within(soft)
    if wanted < allowed or allowed == MAX_OPEN:
        return allowed
    needed = 2 * MAX_OPEN * DESCRIPTORS_EACH
    soft = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    except (OSError, ValueError):  # macOS has a limit besides
        return allowed
    return _chunks_within(soft)


def _chunks_within(soft: int) -> int:
    if soft == resource.RLIM_INFINITY:
        return MAX_OPEN
    return max(1, min(MAX_OPEN, soft // 2 // DESCRIPTORS_EACH))
