"""The training's output on the disk: written by the training, read here, freed behind what the server has."""

import os
from pathlib import Path

from bench_agent.run.holes import punch_hole
from bench_agent.run.masking import Masker

OUTPUT = "output"

PIECE_BYTES = 1 << 20
"""What is freed at a time, at least: a hole is whole blocks, whatever the file system's are."""


class Spool:
    """An attempt's output. Safe for several threads.

    Args:
        folder: The attempt's spool folder.
        masker: Of its secrets.
        quota_bytes: What the server keeps. No more than one byte behind that is read, which tells the server
            that there is more.
    """

    def __init__(self, folder: Path, masker: Masker, quota_bytes: int) -> None:
        self.descriptor = os.open(folder / OUTPUT, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._masker = masker
        self._limit = quota_bytes + 1
        self.received_bytes = 0
        """What the server has, or has chosen to leave out, as far as the agent knows."""
        self._freed = 0
        self._freed_behind = quota_bytes + masker.context + 2 * PIECE_BYTES

    @property
    def written_bytes(self) -> int:
        """What the training has written so far."""
        return os.fstat(self.descriptor).st_size

    @property
    def wanted_bytes(self) -> int:
        """Up to where the server wants it."""
        return min(self.written_bytes, self._limit)

    def read(self, offset: int, size: int, *, is_whole: bool) -> bytes:
        """A piece of the output, masked; empty where none is there yet.

        Args:
            offset: Of its first byte.
            size: How much at most.
            is_whole: Whether nothing will be added. Otherwise an end that may be the beginning of a secret is
                left out.
        """
        size = min(size, self._limit - offset)
        if size <= 0:
            return b""
        start = max(0, offset - self._masker.context)
        data = os.pread(self.descriptor, offset - start + size + self._masker.context, start)
        stop = len(data) if is_whole else len(data) - self._masker.open_end(data)
        return self._masker.mask(data)[offset - start : min(stop, offset - start + size)]

    def free(self) -> None:
        """Give back to the disk what the server has, and what it will not want; the latest pieces stay."""
        self._freed = self._free(self._freed, self.received_bytes - self._masker.context)
        if self.written_bytes > self._freed_behind:
            self._freed_behind = self._free(self._freed_behind, self.written_bytes)

    def _free(self, start: int, stop: int) -> int:
        first, last = -(-start // PIECE_BYTES) * PIECE_BYTES, stop // PIECE_BYTES * PIECE_BYTES
        if last > first and punch_hole(self.descriptor, first, last):
            return last
        return start

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)
