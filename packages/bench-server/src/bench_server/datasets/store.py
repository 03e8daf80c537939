"""Where blobs lie: a small protocol, and the local disk behind it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from bench_core import sync_file, sync_folder

from bench_server.datasets.seals import Seal, Seals, seal, seal_of

MESSAGE_BYTES = 1 << 20
"""Data in one message: measured as the optimum, and under gRPC's limit of 4 MiB."""

SYNC_THREADS = 8
"""Files made durable at a time: a disk's flushes for several at once are one."""


class Busy(Exception):
    """Another call is writing the same part."""


class Damaged(Exception):
    """A blob is not there, or its bytes are others."""


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


class Adopted(Protocol):
    """A file of a user on this machine that is to become a blob; its digest has been compared."""

    size: int
    """Its bytes."""

    def place(self) -> None:
        """Make it the blob."""


class Store(Protocol):
    """Keeps blobs by their digest. What is sent is hashed by callers, who place only what is right."""

    def size(self, digest: str) -> int | None:
        """A blob's bytes, or None if it is not there or was changed."""

    def read(self, digest: str, offset: int, length: int) -> Iterator[bytes]:
        """A range of a blob, in pieces of at most MESSAGE_BYTES.

        Raises:
            Damaged: The blob is not there, was changed, or ends early.
        """

    def link(self, digest: str, target: Path) -> None:
        """Make a blob a file that is only read, by a link where that can be and else by a copy.

        Raises:
            Damaged: The blob is not there, or was changed.
        """

    def adopt(self, name: str, digest: str) -> Adopted | None:
        """Look at a file that a process of this user has put into the store's `incoming` folder.

        Returns:
            None if it cannot be a blob without being copied, or is none of that digest.
        """

    def lend(self, digest: str) -> Path | None:
        """Where processes of this user may link a blob from; None if they have to read it."""

    def part(self, owner: str, digest: str) -> "contextlib.AbstractContextManager[Part]":
        """The part of a blob that an owner is sending; only one caller has it at a time, others get Busy."""

    def received(self, owner: str, digest: str) -> int:
        """How much of a blob that owner has sent."""

    def sync(self, digests: Sequence[str]) -> None:
        """Return when these blobs are on the disk."""

    def remove(self, digest: str) -> None:
        """Remove a blob; nothing happens if it is not there."""

    def exclusive(self) -> "contextlib.AbstractContextManager[None]":
        """While it is held nobody else places or removes a blob."""

    def old_parts(self, before: float, *, remove: bool) -> Iterator[int]:
        """The sizes of parts that nobody has added to since `before`, a Unix time; removed if told to."""


class LocalStore:
    """Blobs on the local disk.

        blobs/ab/abcd...            whole blobs, read-only
        seals/ab/abcd...            of blobs whose file a user on this machine has too
        incoming/                   files that such users want to become blobs
        uploads/OWNER/abcd...part   parts

    Args:
        folder: Its place; made if absent.
    """

    def __init__(self, folder: Path) -> None:
        self._blobs, self._uploads, self._incoming = (
            folder / name for name in ("blobs", "uploads", "incoming")
        )
        self._seals = Seals(folder / "seals")

    def path(self, digest: str) -> Path:
        """Where a blob lies."""
        return self._blobs / digest[:2] / digest

    def size(self, digest: str) -> int | None:
        """See Store."""
        path = self.path(digest)
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
        return found.st_size if self._seals.hold(digest, path, found) else None

    def read(self, digest: str, offset: int, length: int) -> Iterator[bytes]:
        """See Store."""
        descriptor = self._open(digest)
        try:
            sealed = _changes(descriptor)
            while length:
                piece = os.pread(descriptor, min(length, MESSAGE_BYTES), offset)
                if not piece or _changes(descriptor) != sealed:
                    raise Damaged(digest)
                offset, length = offset + len(piece), length - len(piece)
                yield piece
        finally:
            os.close(descriptor)

    def link(self, digest: str, target: Path) -> None:
        """See Store."""
        os.close(self._open(digest))
        os.link(self.path(digest), target)

    def adopt(self, name: str, digest: str) -> "AdoptedFile | None":
        """See Store."""
        path = self._incoming / name
        found = seal(path, digest)
        return AdoptedFile(path, self.path(digest), found, self._seals) if found else None

    def lend(self, digest: str) -> Path | None:
        """See Store."""
        os.close(self._open(digest))
        path = self.path(digest)
        if not self._seals.has(digest):  # from now on somebody else may change the file
            self._seals.put(digest, seal_of(path.stat()))
            self.sync([digest])
        return path

    def sync(self, digests: Sequence[str]) -> None:
        """See Store."""
        blobs, seals = [*map(self.path, digests)], [*map(self._seals.path, digests)]
        with ThreadPoolExecutor(SYNC_THREADS) as threads:
            list(threads.map(_sync, blobs))
            list(threads.map(_sync, {path.parent for path in [*blobs, *seals]}))

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
            yield LocalPart(descriptor, path, self.path(digest), self._seals)
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
        self._seals.remove(digest)

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

    def _open(self, digest: str) -> int:
        """A blob's descriptor, if its bytes are those of its digest."""
        try:
            descriptor = os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Damaged(digest) from None
        if self._seals.hold(digest, self.path(digest), os.fstat(descriptor)):
            return descriptor
        os.close(descriptor)
        raise Damaged(digest)

    def _part_path(self, owner: str, digest: str) -> Path:
        return self._uploads / owner / f"{digest}.part"


def _sync(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # the folder of seals, where nothing was linked
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            sync_file(descriptor)
        finally:
            os.close(descriptor)


def _is_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _changes(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_size, found.st_mtime_ns


class AdoptedFile:
    """A user's file, sealed, in the `incoming` folder."""

    def __init__(self, path: Path, target: Path, found: Seal, seals: Seals) -> None:
        self._path, self._target, self._seal, self._seals = path, target, found, seals
        self.size = found.size

    def place(self) -> None:
        """See Adopted."""
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._seals.put(self._target.name, self._seal)  # first: one that fits no file has it hashed again
        os.replace(self._path, self._target)
        self._path.unlink(missing_ok=True)  # both were the same file: then nothing was renamed


class LocalPart:
    """A part in a file that this process has locked."""

    def __init__(self, descriptor: int, path: Path, target: Path, seals: Seals) -> None:
        self._descriptor, self._path, self._target, self._seals = descriptor, path, target, seals
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
        os.fchmod(self._descriptor, 0o444)  # nobody else gets into the folder; a run's user reads its links
        sync_file(self._descriptor)
        self._target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self._path, self._target)
        self._seals.remove(self._target.name)
        sync_folder(self._target.parent)
