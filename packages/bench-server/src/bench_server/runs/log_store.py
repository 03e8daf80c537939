"""The stored logs of attempts: files that only grow, by the offset of what the training wrote.

A log is `logs/RUN/NUMBER` in the server's folder. Its length is the offset to go on from. At the quota a line
says that the rest is left out, so a longer file is a truncated one.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench_core import sync_file
from django.conf import settings

from bench_server.errors import Refused
from bench_server.runs.models import Attempt

QUOTA_BYTES = 2_000_000_000
"""Of one attempt's log."""

PIECE_BYTES = 1 << 20
"""Read at a time: one message."""

NOTE_SECONDS = 0.5
"""How often the row learns how long the log is; who follows it looks at the file."""

LOCK_SECONDS = 2.0
"""A call that was cut off is noticed within that, and leaves the log to the next."""

FOLLOW_SECONDS = 0.05
"""Between looks at a log that is followed."""

ENDED_SECONDS = 0.25
"""Between looks at whether what writes it has ended."""


@dataclass(frozen=True)
class Appended:
    """What became of bytes that were sent.

    Args:
        received: The bytes that the log has, or has left out: the offset to go on from.
        truncated: Whether the log has reached its quota.
    """

    received: int
    truncated: bool


@dataclass(frozen=True)
class Piece:
    """A part of a log.

    Args:
        offset: Of its first byte.
        data: The bytes.
    """

    offset: int
    data: bytes


class LogFile:
    """A log that is written; made if absent, and locked against other writers.

    Args:
        path: Where it lies.
        quota: No more bytes are kept than that, and the line about it.

    Raises:
        BlockingIOError: Somebody else writes it.
    """

    def __init__(self, path: Path, quota: int = QUOTA_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._quota = quota
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise
        self.size = os.fstat(self._descriptor).st_size

    @property
    def truncated(self) -> bool:
        """Whether the rest is left out."""
        return self.size > self._quota

    def take(self, offset: int, data: bytes) -> None:
        """Add what is new of some bytes; none of them may lie behind a gap."""
        if self.truncated:
            return
        assert offset <= self.size
        new = memoryview(data)[self.size - offset :]
        room = self._quota - self.size
        self._write(new[:room])
        if len(new) > room:
            text = f"\n[bench: this log has its {self._quota:,} bytes; what came behind is left out]\n"
            self._write(memoryview(text.encode()))

    def _write(self, data: memoryview) -> None:
        while data:
            written = os.pwrite(self._descriptor, data, self.size)
            self.size += written
            data = data[written:]

    def close(self) -> None:
        """Let others write it."""
        os.close(self._descriptor)


def path_of(attempt: Attempt) -> Path:
    """Where an attempt's log lies."""
    return settings.FOLDER.logs / str(attempt.run_id) / str(attempt.number)


def build_path_of(attempt: Attempt) -> Path:
    """Where what making its image said lies."""
    return settings.FOLDER.runs / str(attempt.run_id) / str(attempt.number) / "build.log"


def received(attempt: Attempt) -> int:
    """The offset to go on from."""
    return min(size_of(path_of(attempt)), QUOTA_BYTES)


def append(attempt: Attempt, start: int, pieces: Iterable[bytes], *, quota: int = QUOTA_BYTES) -> Appended:
    """Add to an attempt's log what it does not have yet.

    Args:
        attempt: Whose.
        start: The offset of the first byte.
        pieces: The bytes, without a gap.
        quota: What is kept at most.

    Raises:
        Refused: OFFSET_MISMATCH, UPLOAD_IN_PROGRESS.
    """
    log = _open(attempt, quota)
    try:
        if start < 0 or (start > log.size and not log.truncated):
            raise Refused(
                "OFFSET_MISMATCH",
                f"the server has {log.size:,} bytes of this log, and the data begins at {start:,}",
                received_bytes=log.size,
            )
        noted = time.monotonic()
        for data in pieces:
            log.take(start, data)
            start += len(data)
            if time.monotonic() - noted >= NOTE_SECONDS:
                _note(attempt, log)
                noted = time.monotonic()
        _note(attempt, log)
        return Appended(max(start, min(log.size, quota)), log.truncated)
    finally:
        log.close()


def finish(attempt: Attempt) -> None:
    """Have the row say how long the log is, and the disk have all of it."""
    path = path_of(attempt)
    size = size_of(path)
    if size:
        with path.open("rb") as file:
            sync_file(file.fileno())
    Attempt.objects.filter(pk=attempt.pk).update(log_bytes=size, log_truncated=size > QUOTA_BYTES)


def read(path: Path, start: int, *, has_ended: Callable[[], bool] | None) -> Iterator[Piece | None]:
    """A log from a byte on; None while there is nothing new.

    Args:
        path: Where it lies; it need not be there yet.
        start: The first byte; negative: so many before the end.
        has_ended: Follow it until this says so; None: only what there is now.

    Raises:
        Refused: RANGE_INVALID.
    """
    offset = position(path, start)
    if has_ended is None:
        yield from _read_to(path, offset, size_of(path))
        return
    while True:
        ended = has_ended()  # before the look at the file: what it wrote last is there then
        asked = time.monotonic()
        while ended or time.monotonic() - asked < ENDED_SECONDS:
            for piece in _read_to(path, offset, size_of(path)):
                offset += len(piece.data)
                yield piece
            if ended:
                return
            yield None
            time.sleep(FOLLOW_SECONDS)


def position(path: Path, start: int) -> int:
    """The offset of a byte of a log; a negative one counts from the end.

    Raises:
        Refused: RANGE_INVALID.
    """
    size = size_of(path)
    if start > size:
        raise Refused("RANGE_INVALID", f"the log has {size:,} bytes", size_bytes=size)
    return max(0, size + start) if start < 0 else start


def _read_to(path: Path, offset: int, end: int) -> Iterator[Piece]:
    if offset >= end:
        return
    with path.open("rb", buffering=0) as file:
        while offset < end and (data := os.pread(file.fileno(), min(PIECE_BYTES, end - offset), offset)):
            yield Piece(offset, data)
            offset += len(data)


def read_range(path: Path, start: int, length: int) -> bytes:
    """Bytes of a log; fewer where it ends before, none where it is not there."""
    try:
        with path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), length, start)
    except FileNotFoundError:
        return b""


def pieces(path: Path, start: int, length: int) -> Iterator[bytes]:
    """Bytes of a log in pieces that fit the memory."""
    return (piece.data for piece in _read_to(path, start, start + length))


def size_of(path: Path) -> int:
    """The bytes of a log; 0 where it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _open(attempt: Attempt, quota: int) -> LogFile:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        with contextlib.suppress(BlockingIOError):
            return LogFile(path_of(attempt), quota)
        if time.monotonic() > deadline:
            raise Refused(
                "UPLOAD_IN_PROGRESS", "this log is being sent by another call", hint="Wait for it."
            ) from None
        time.sleep(FOLLOW_SECONDS)


def _note(attempt: Attempt, log: LogFile) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(log_bytes=log.size, log_truncated=log.truncated)
