"""The cache folder: which chunks are there, how much may be, and their removal (STREAMING.md)."""

import fcntl
import os
import shutil
from pathlib import Path

from bench_data.remote import EARLY

from bench_agent.errors import CacheError

FREE_SHARE = 0.8
"""Of the disk's free space, what the cache takes unless told."""


class Cache:
    """The chunks in a cache folder. Not thread-safe: whoever uses it holds a lock.

    Args:
        folder: The cache folder; made if it is not there.

    Raises:
        CacheError: It cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / "datasets").mkdir(exist_ok=True)
            (folder / "opened").mkdir(exist_ok=True)
        except OSError as error:
            raise CacheError(
                f"{error.filename} cannot be made: {error.strerror}",
                hint="Set BENCH_CACHE_DIR to another folder.",
            ) from error
        self.chunks: dict[Path, int] = {}
        """The size of each chunk that is there, in the order of their arrival."""
        self.used_bytes = 0
        self.limit_bytes = 0
        """How many there may be."""

    def scan(self) -> None:
        """Look at which chunks are there, and take the usual share of the disk as the limit."""
        for copy in self.folder.glob(f"datasets/*/chunks/*{EARLY}"):
            copy.unlink()  # of an agent that was killed
        found = [(path, path.stat()) for path in self.folder.glob("datasets/*/chunks/*.zip")]
        found.sort(key=lambda entry: entry[1].st_mtime)
        self.chunks = {path: status.st_size for path, status in found}
        self.used_bytes = sum(self.chunks.values())
        self.limit_bytes = int(FREE_SHARE * (shutil.disk_usage(self.folder).free + self.used_bytes))

    def dataset(self, fingerprint: str) -> Path:
        """The folder of a dataset."""
        return self.folder / "datasets" / fingerprint

    def has(self, path: Path) -> bool:
        """Whether a chunk is there, by a look at the disk."""
        if path in self.chunks and not path.exists():
            self._forget(path)
        return path in self.chunks

    def add(self, path: Path) -> None:
        """Note a chunk that has arrived."""
        self._forget(path)
        self.chunks[path] = path.stat().st_size
        self.used_bytes += self.chunks[path]

    def remove(self, path: Path, *, although_open: bool = False) -> bool:
        """Remove a chunk, but not one that a reader has open unless told; whether it has gone."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._forget(path)
            return True
        try:
            if not although_open:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        self._forget(path)
        return True

    def _forget(self, path: Path) -> None:
        self.used_bytes -= self.chunks.pop(path, 0)
