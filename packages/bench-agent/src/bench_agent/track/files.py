"""The files of records in a folder: written by trainings, read here up to their last whole record."""

import contextlib
import os
import re
import stat
from pathlib import Path

from bench_core import atomic_write
from bench_track.records import MAX_PAYLOAD_BYTES, whole_bytes

WRITER = re.compile("[0-9]{1,9}-[0-9]{1,9}-[0-9a-f]{8}")
"""Of a file's name; docs/tracking.md says what it consists of."""

RECORDS, RECEIVED = ".records", ".received"

PORTION_BYTES = 4 << 20
"""Read at a time, or one record if it is larger."""

LARGEST_BYTES = MAX_PAYLOAD_BYTES + 64
"""Of a record, with what is around its payload."""


class TrackFile:
    """A file that one process writes.

    Args:
        path: Where it is.

    Raises:
        OSError: It cannot be read, or is no plain file.
    """

    def __init__(self, path: Path) -> None:
        self.writer = path.name.removesuffix(RECORDS)
        self._received_path = path.with_name(self.writer + RECEIVED)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            os.close(self._descriptor)
            raise OSError(f"{path} is no plain file")
        self.received = self._read_received()
        self._synced = 0

    def _read_received(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            return min(max(0, int(self._received_path.read_text())), self.size)
        return 0

    @property
    def size(self) -> int:
        """Its bytes."""
        return os.fstat(self._descriptor).st_size

    def portion(self) -> bytes:
        """Whole records behind what the server has; empty: there is none yet.

        Raises:
            RecordError: What follows is no record, and no crash made it so.
        """
        for size in (PORTION_BYTES, LARGEST_BYTES):
            data = os.pread(self._descriptor, size, self.received)
            if (whole := whole_bytes(data)) or len(data) < size:
                return data[:whole]
        return b""

    def note_received(self, count: int) -> None:
        """Keep how far the server has it."""
        if count == self.received:
            return
        self.received = count
        with contextlib.suppress(OSError):  # a full disk: it is sent again, and passed over
            atomic_write(self._received_path, str(count).encode(), durable=False)

    def sync(self) -> None:
        """Return when what is written so far is on the disk."""
        if (size := self.size) > self._synced:
            os.fdatasync(self._descriptor) if hasattr(os, "fdatasync") else os.fsync(self._descriptor)
            self._synced = size

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


class TrackFiles:
    """The files of a folder, opened as they appear.

    Args:
        folder: The folder; it need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, TrackFile] = {}

    def look(self) -> list[TrackFile]:
        """All there are now, by name."""
        names: list[str] = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            names = os.listdir(self._folder)
        for name in names:
            if name not in self._open and name.endswith(RECORDS) and WRITER.fullmatch(name[: -len(RECORDS)]):
                with contextlib.suppress(OSError):
                    self._open[name] = TrackFile(self._folder / name)
        return [self._open[name] for name in sorted(self._open)]
