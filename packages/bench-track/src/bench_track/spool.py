"""One process's file of a spool: records are appended to it, each by one write()."""

import contextlib
import itertools
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

from bench_track.records import (
    KIND_CRC,
    MAGIC,
    POINTS,
    RECORD_HEAD,
    pack_media,
    pack_note,
    pack_order,
    pack_shape,
    points_struct,
)
from bench_track.values import check_names

SYNC_SECONDS = 2.0
"""What a crash of the machine may cost, outside of runs; in them the agent does as much."""

MOST_NAMES = 100_000
"""Of all shapes of a file; where names keep changing, another begins. The server takes twice as many."""

Position = tuple[Any, int, int]
"""A `BatchOrder` of bench-data or None, epoch and batch."""

_spools: "weakref.WeakSet[Spool]" = weakref.WeakSet()


class Spool:
    """This process's file. Safe for several threads, and for what is forked: a child has one of its own.

    Nothing here raises for a disk that is full or gone: what is lost is counted, and said
    as soon as it can be.

    Args:
        folder: The spool's; it need not exist yet.
        rank: Of this process.
        is_synced: Whether to write it to the disk every SYNC_SECONDS, from a thread.
    """

    def __init__(self, folder: Path, rank: int, *, is_synced: bool = False) -> None:
        self.folder, self._rank, self._is_synced = folder, rank, is_synced
        self.dropped = 0
        """Values that were lost and are not noted yet."""
        self._said_lost = False
        self._begin()
        _spools.add(self)

    def _begin(self) -> None:
        self.lock = threading.RLock()  # a signal's handler may log within a log
        self._descriptor = -1
        self._new_file()

    def _new_file(self) -> None:
        self._closed = threading.Event()
        self._numbers = itertools.count(1)
        self._shapes: dict[tuple[str, ...], tuple[int, Callable[..., bytes], int]] = {}
        self._names = 0
        self._orders: dict[Any, int] = {}
        self._last_order: Any = None
        self._last_number = 0

    def points(
        self, names: tuple[str, ...], values: tuple[Any, ...], step: int, now: int, position: Position
    ) -> None:
        """Append one value for each series.

        Args:
            names: Of the series.
            values: What struct takes for a double.
            step: The step.
            now: Unix, in ns.
            position: What the loader yielded last.

        Raises:
            ValueLogError: A name is none.
            Exception: A value is none: whatever struct raised.
        """
        with self.lock:
            order, epoch, batch = position
            known = self._shapes.get(names)
            if known is None or order is not self._last_order:
                self._points_of_new(names, values, step, now, position)
                return
            shape, pack, size = known
            payload = pack(shape, step, now, self._last_number, epoch, batch, *values)
            self._write(RECORD_HEAD(size, crc32(payload, _POINTS_CRC), POINTS) + payload, len(values))

    def _points_of_new(
        self, names: tuple[str, ...], values: tuple[Any, ...], step: int, now: int, position: Position
    ) -> None:
        """Points of a shape or an order that is not the last one's: all of it is one write, or none is."""
        if names not in self._shapes:
            check_names(names)
            if self._names + len(names) > MOST_NAMES:
                self.close()
        order, epoch, batch = position
        data = b""
        shape = self._shapes.get(names)
        if shape is None:
            packing = points_struct(len(names))
            shape = (next(self._numbers), packing.pack, packing.size)
            data += pack_shape(shape[0], names)
        number = 0 if order is None else self._orders.get(order, 0)
        if order is not None and not number:
            number = next(self._numbers)
            data += pack_order(number, order.to_json())
        payload = shape[1](shape[0], step, now, number, epoch, batch, *values)
        data += RECORD_HEAD(shape[2], crc32(payload, _POINTS_CRC), POINTS) + payload
        if self._write(data, len(values)):
            self._names += len(names) if names not in self._shapes else 0
            self._shapes[names] = shape
            if order is not None:
                self._orders[order] = number
            self._last_order, self._last_number = order, number

    def media(self, header: Mapping[str, Any], content: bytes, step: int, now: int) -> None:
        """Append a histogram, image, text or table.

        Raises:
            RecordError: It is too large.
        """
        data = pack_media(header, content, step=step, time=now)
        with self.lock:
            self._write(data, 1)

    def note(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Append something about the run; JSON has all of it."""
        data = pack_note({"type": kind, "time": time.time_ns(), **fields})
        with self.lock:
            self._write(data, 0)

    def close(self) -> None:
        """Close the file; another append begins a new one."""
        with self.lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = -1
            self._closed.set()
            self._new_file()

    def _write(self, data: bytes, count: int) -> bool:
        """Append, by one write; whether it is there."""
        try:
            if self._descriptor < 0:
                self._open()
            if self.dropped:
                data = pack_note({"type": "dropped", "time": time.time_ns(), "points": self.dropped}) + data
            written = os.write(self._descriptor, data)
            if written < len(data):
                os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
                raise OSError("no space is left")
        except OSError as error:
            self.dropped += count
            self._say_lost(error)
            return False
        self.dropped = 0
        return True

    def _open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{self._rank}-{os.getpid()}-{os.urandom(4).hex()}.records"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self.folder / name, flags, 0o644)
        try:
            if os.write(descriptor, MAGIC) < len(MAGIC):
                raise OSError("no space is left")
        except OSError:
            os.close(descriptor)
            (self.folder / name).unlink()
            raise
        if self._descriptor >= 0:  # a signal's handler has logged meanwhile: that file has its shapes
            os.close(descriptor)
            (self.folder / name).unlink()
            return
        self._descriptor = descriptor
        if self._is_synced:
            _keep_on_disk(os.dup(descriptor), self._closed)

    def _say_lost(self, error: OSError) -> None:
        if not self._said_lost:
            self._said_lost = True
            with contextlib.suppress(OSError, ValueError):  # it may be on the same disk, or closed
                print(
                    f"bench_track: what is logged is lost for now, in {self.folder}: {error}", file=sys.stderr
                )


_POINTS_CRC = KIND_CRC[POINTS]


def _keep_on_disk(descriptor: int, closed: threading.Event) -> None:
    """Write a file to the disk every SYNC_SECONDS until it is closed, and then once more."""

    def sync() -> None:
        while True:
            ended = closed.wait(SYNC_SECONDS)
            with contextlib.suppress(OSError):
                os.fdatasync(descriptor) if hasattr(os, "fdatasync") else os.fsync(descriptor)
            if ended:
                break
        os.close(descriptor)

    threading.Thread(target=sync, name="bench_track sync", daemon=True).start()


def _forget() -> None:
    """In a forked child: the parent's file and locks are not its own."""
    for spool in list(_spools):
        if spool._descriptor >= 0:
            os.close(spool._descriptor)
        spool.dropped = 0
        spool._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
