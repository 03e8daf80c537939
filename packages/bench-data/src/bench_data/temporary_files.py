"""Real files for libraries that only take a path: made on demand, gone with their object.

Each process has one folder, `bench-data-*` in the system's temporary folder, on which it holds a lock.
Whoever makes such a folder removes those whose lock nobody holds, so a process that was killed leaves nothing
for long.
"""

import atexit
import contextlib
import fcntl
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from multiprocessing.util import Finalize

PREFIX = "bench-data-"
LOCK = ".lock"


class TemporaryCopy:
    """One file under its own name, removed when the object goes.

    Args:
        name: The base name.
        pieces: The content.
    """

    def __init__(self, name: str, pieces: Iterable[bytes]) -> None:
        self._process = os.getpid()
        self._folder = _process_folder().new_folder()
        self.path = os.path.join(self._folder, name)
        try:
            with open(self.path, "xb", buffering=0) as file:
                for piece in pieces:
                    file.write(piece)
        except BaseException:
            self.__del__()
            raise

    def __del__(self) -> None:
        if os.getpid() != self._process:
            return  # a forked child's copy of the object
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        with contextlib.suppress(OSError):
            os.rmdir(self._folder)


class _ProcessFolder:
    """This process's folder and the lock on it."""

    def __init__(self) -> None:
        self.process = os.getpid()
        _sweep()
        self._path = tempfile.mkdtemp(prefix=PREFIX)
        self._lock = os.open(os.path.join(self._path, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._numbers: Iterator[int] = itertools.count()

    def new_folder(self) -> str:
        folder = f"{self._path}/{next(self._numbers)}"
        os.mkdir(folder)
        return folder

    def remove(self) -> None:
        """Remove the folder; nothing happens in a process that did not make it."""
        if os.getpid() == self.process:
            shutil.rmtree(self._path, ignore_errors=True)


_current: _ProcessFolder | None = None


def _process_folder() -> _ProcessFolder:
    global _current
    if _current is None or _current.process != os.getpid():
        _current = _ProcessFolder()
        atexit.register(_current.remove)
        # Worker processes of multiprocessing leave without atexit, but run these.
        Finalize(None, _current.remove, exitpriority=0)
    return _current


def _sweep() -> None:
    for entry in os.scandir(tempfile.gettempdir()):
        if entry.name.startswith(PREFIX):
            with contextlib.suppress(OSError):
                _remove_if_dead(entry.path)


def _remove_if_dead(folder: str) -> None:
    lock = os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
