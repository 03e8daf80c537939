"""Notices that a blob's file was changed after its digest was compared.

A blob that was linked has the same file (inode) as a dataset of a user on this machine. The file is made
read-only, and a lease of the system's sees to it that nobody has it open for writing when it is hashed. Its
size and time of change are kept, and a file that no longer has them is hashed again before its bytes are
believed (docs/decisions/0019-blobs-are-linked.md).
"""

import fcntl
import os
import secrets
import signal
import stat
import time
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

SETTLED_NS = 50_000_000
"""Two changes may get the same time if they are closer to each other: a file system's clock ticks 100 times a
second at the slowest."""


class Seal(NamedTuple):
    """A file as it was when its digest was compared."""

    size: int
    mtime_ns: int


class Seals:
    """The seals of a store's linked blobs.

    They are symbolic links that say "size mtime_ns" and lead nowhere: made and read by one call, whole or not
    at all.

    Args:
        folder: Where they lie; made if absent.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, digest: str) -> Path:
        """Where a blob's seal lies, or would."""
        return self._folder / digest[:2] / digest

    def put(self, digest: str, seal: Seal) -> None:
        """Keep a seal; it is on the disk when its folder is."""
        path = self.path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{digest}.{secrets.token_hex(4)}.tmp")
        temporary.symlink_to(f"{seal.size} {seal.mtime_ns}")
        os.replace(temporary, path)

    def remove(self, digest: str) -> None:
        """Forget a seal, if there is one."""
        self.path(digest).unlink(missing_ok=True)

    def has(self, digest: str) -> bool:
        """Whether there is a seal of a blob."""
        return self._read(digest) is not None

    def hold(self, digest: str, path: Path, found: os.stat_result) -> bool:
        """Whether a blob's file has the blob's bytes, as far as seals tell.

        Args:
            digest: The blob's.
            path: Its file.
            found: The file as it is now.
        """
        kept = self._read(digest)
        if kept is None or kept == seal_of(found):
            return True
        again = seal(path, digest)  # it was only touched, perhaps, or copied to another disk
        if again is not None:
            self.put(digest, again)
        return again is not None

    def _read(self, digest: str) -> Seal | None:
        try:
            size, mtime_ns = os.readlink(self.path(digest)).split()
            return Seal(int(size), int(mtime_ns))
        except FileNotFoundError:
            return None


def seal(path: Path, digest: str) -> Seal | None:
    """Compare a file's digest while nobody can write to it, and make it read-only if it is right.

    Args:
        path: The file.
        digest: What it must have.

    Returns:
        None if it has another digest, is no file of this user's, or somebody has it open for writing.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return _seal_open(descriptor, path, digest)
    except OSError:  # no lease, or not on this file system
        return None
    finally:
        os.close(descriptor)  # and the lease with it


def _seal_open(descriptor: int, path: Path, digest: str) -> Seal | None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        return None
    _lease(descriptor)
    found = os.fstat(descriptor)
    time.sleep(max(0, min(SETTLED_NS, found.st_mtime_ns + SETTLED_NS - time.time_ns())) / 1e9)
    if blake3().update_mmap(path).hexdigest() != digest:  # the lease keeps the file from being cut meanwhile
        return None
    os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & ~0o222)
    same = os.path.samestat(os.stat(path, follow_symlinks=False), found)
    return seal_of(found) if same and seal_of(os.fstat(descriptor)) == seal_of(found) else None


def _lease(descriptor: int) -> None:
    """Fail if somebody has the file open for writing, and let those who want to wait until it is closed."""
    if not hasattr(fcntl, "F_SETLEASE"):  # macOS
        raise OSError("this system has no leases")
    fcntl.fcntl(
        descriptor, fcntl.F_SETSIG, signal.SIGURG
    )  # says that somebody waits; ignored unless asked for
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)


def seal_of(found: os.stat_result) -> Seal:
    """What a file is known by."""
    return Seal(found.st_size, found.st_mtime_ns)
