"""Where blobs lie: a small protocol, and the local disk behind it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from bench_core import sync_file, sync_folder

MESSAGE_BYTES = 1 << 20
"""Data in one message: measured as the optimum, and under gRPC's limit of 4 MiB."""


class Busy(Exception):
    """Another call is writing the same part."""


class Part(Protocol):
    """A blob that is on its way in. What was written stays when the part is left."""

    received: int
    """Bytes so far."""

    def pieces(self) -> Iterator[bytes]:
        """What was received, from the beginning."""

    def write(self, data: bytes) -> None:
        """Add bytes at the end."""

    def drop(self) -> None:
        """Forget what was received."""

    def place(self) -> None:
        """Make it the blob; it is on the disk when this returns."""


class Store(Protocol):
    """Keeps blobs by their digest. It does not hash: callers do, and place only what they have checked."""

    def size(self, digest: str) -> int | None:
        """A blob's bytes, or None if it is not there."""

    def read(self, digest: str, offset: int, length: int) -> Iterator[bytes]:
        """A range of a blob, in pieces of at most MESSAGE_BYTES."""

    def part(self, owner: str, digest: str) -> "contextlib.AbstractContextManager[Part]":
        """The part of a blob that an owner is sending; only one caller has it at a time, others get Busy."""

    def received(self, owner: str, digest: str) -> int:
        """How much of a blob that owner has sent."""

    def remove(self, digest: str) -> None:
        """Remove a blob; nothing happens if it is not there."""

    def exclusive(self) -> "contextlib.AbstractContextManager[None]":
        """While it is held nobody else places or removes a blob."""

    def old_parts(self, before: float, *, remove: bool) -> Iterator[int]:
        """The sizes of parts that nobody has added to since `before`, a Unix time; removed if told to."""


class LocalStore:
    """Blobs on the local disk.

        blobs/ab/abcd...            whole blobs, read-only
        uploads/OWNER/abcd...part   parts

    Args:
        folder: Its place; made if absent.
    """

    def __init__(self, folder: Path) -> None:
        self._blobs, self._uploads = folder / "blobs", folder / "uploads"

    def path(self, digest: str) -> Path:
        """Where a blob lies."""
        return self._blobs / digest[:2] / digest

    def size(self, digest: str) -> int | None:
        """See Store."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, digest: str, offset: int, length: int) -> Iterator[bytes]:
        """See Store."""
        descriptor = os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC)
        try:
            while length:
                piece = os.pread(descriptor, min(length, MESSAGE_BYTES), offset)
                if not piece:
                    raise OSError(f"blob {digest} ends at {offset}")
                offset, length = offset + len(piece), length - len(piece)
                yield piece
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def part(self, owner: str, digest: str) -> Iterator["LocalPart"]:
        """See Store."""
        path = self._part_path(owner, digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy(digest) from None
            if not _is_there(path, descriptor):
                raise Busy(digest)  # it was placed or dropped between the two calls
            yield LocalPart(descriptor, path, self.path(digest))
        finally:
            os.close(descriptor)

    def received(self, owner: str, digest: str) -> int:
        """See Store."""
        try:
            return self._part_path(owner, digest).stat().st_size
        except FileNotFoundError:
            return 0

    def remove(self, digest: str) -> None:
        """See Store."""
        self.path(digest).unlink(missing_ok=True)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """See Store."""
        self._blobs.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._blobs / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def old_parts(self, before: float, *, remove: bool) -> Iterator[int]:
        """See Store."""
        for path in sorted(self._uploads.glob("*/*.part")):
            with contextlib.suppress(FileNotFoundError, Busy), self.part(path.parent.name, path.stem) as part:
                if path.stat().st_mtime < before:
                    yield part.received
                    if remove:
                        part.drop()

    def _part_path(self, owner: str, digest: str) -> Path:
        return self._uploads / owner / f"{digest}.part"


def _is_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


class LocalPart:
    """A part in a file that this process has locked."""

    def __init__(self, descriptor: int, path: Path, target: Path) -> None:
        self._descriptor, self._path, self._target = descriptor, path, target
        self.received = os.fstat(descriptor).st_size

    def pieces(self) -> Iterator[bytes]:
        """See Part."""
        for offset in range(0, self.received, MESSAGE_BYTES):
            yield os.pread(self._descriptor, MESSAGE_BYTES, offset)

    def write(self, data: bytes) -> None:
        """See Part."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, self.received)
            self.received += written
            view = view[written:]

    def drop(self) -> None:
        """See Part."""
        os.ftruncate(self._descriptor, 0)
        self._path.unlink(missing_ok=True)
        self.received = 0

    def place(self) -> None:
        """See Part."""
        os.fchmod(self._descriptor, 0o400)
        sync_file(self._descriptor)
        self._target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self._path, self._target)
        sync_folder(self._target.parent)
