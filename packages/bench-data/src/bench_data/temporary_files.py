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
        self.path, descriptor = _process_folder().create(name)
        try:
            with open(descriptor, "wb") as file:
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
        folder = os.path.dirname(self.path)
        if os.path.basename(folder).isdigit():
            with contextlib.suppress(OSError):
                os.rmdir(folder)


class _ProcessFolder:
    """This process's folder and the lock on it."""

    def __init__(self) -> None:
        self.process = os.getpid()
        _sweep()
        self._path = tempfile.mkdtemp(prefix=PREFIX)
        self._lock = os.open(os.path.join(self._path, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._numbers: Iterator[int] = itertools.count()

    def create(self, name: str) -> tuple[str, int]:
        """A new file of that name: its path, and a descriptor to write it with."""
        path = f"{self._path}/{name}"
        while True:
            try:
                return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileExistsError:  # a folder of its own, which costs as much again
                folder = f"{self._path}/{next(self._numbers)}"
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder)
                path = f"{folder}/{name}"

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
