"""Gives blocks of a file back to the disk, and leaves its length and every offset as they are."""

import ctypes
import sys
from collections.abc import Callable

KEEP_SIZE, PUNCH_HOLE = 1, 2
"""Of fallocate(2)."""


def punch_hole(descriptor: int, start: int, stop: int) -> bool:
    """Make a range of a file a hole, which reads as zeros; whether the file system can.

    Args:
        descriptor: Open for writing.
        start: The first byte.
        stop: Behind the last.
    """
    if _fallocate is None:
        return False
    return _fallocate(descriptor, KEEP_SIZE | PUNCH_HOLE, start, stop - start) == 0


def _find_fallocate() -> Callable[[int, int, int, int], int] | None:
    if sys.platform != "linux":
        return None
    function = getattr(ctypes.CDLL(None), "fallocate64", None) or getattr(
        ctypes.CDLL(None), "fallocate", None
    )
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return function


_fallocate = _find_fallocate()
