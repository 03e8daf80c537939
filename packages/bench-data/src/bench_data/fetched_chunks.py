"""Lets chunks of a cache go when they are no longer used, so that others have room there."""

import time
import weakref
from typing import Any

from bench_data.open_chunks import Closable

UNUSED_SECONDS = 0.5
"""A chunk that was not used for so long, while others were opened, is closed. Each costs at most one more
opening in that time."""


class FetchedChunks:
    """The open chunks of this process that lie in a cache; it does not keep them alive."""

    def __init__(self) -> None:
        self._chunks: dict[int, weakref.ref[Any]] = {}
        self._looked = 0.0

    def admit(self, chunk: Closable) -> None:
        """Note one that is being opened; now and then, close those that are no longer used."""
        now = time.monotonic()
        if now > self._looked + UNUSED_SECONDS:
            self._looked = now
            self.let_go_of_unused()
        number = id(chunk)
        self._chunks[number] = weakref.ref(chunk, lambda _: self._chunks.pop(number, None))

    def let_go(self) -> None:
        """Close all; those that are used are opened again."""
        for _ in range(2):
            self.let_go_of_unused()

    def let_go_of_unused(self) -> None:
        """Close those that were not used since this was called last."""
        for number, reference in list(self._chunks.items()):
            chunk = reference()
            if chunk is not None and chunk.used:
                chunk.used = False
            elif chunk is not None:
                self._chunks.pop(number, None)
                chunk.close()
