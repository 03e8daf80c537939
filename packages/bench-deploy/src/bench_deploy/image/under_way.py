"""Builds and removals of images keep out of each other's way: many builds at a time, or one removal."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def building(state: Path) -> Iterator[None]:
    """Nothing is removed meanwhile; a removal that is under way is waited for.

    Args:
        state: That of `build_image`.
    """
    with _opened(state) as number:
        fcntl.flock(number, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def removing(state: Path) -> Iterator[bool]:
    """No build begins meanwhile.

    Args:
        state: That of `build_image`.

    Yields:
        Whether nothing may be removed, because a build is under way.
    """
    with _opened(state) as number:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield True
        else:
            yield False


@contextlib.contextmanager
def _opened(state: Path) -> Iterator[int]:
    state.mkdir(parents=True, exist_ok=True)
    number = os.open(state / "under-way", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield number
    finally:
        os.close(number)
