"""Values that are still on a GPU: copied without waiting for it, and written when they are there."""

import os
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Write = Callable[[list[float] | None], None]
"""Gets the values, or None where the device failed before it had them. It must not raise."""

PINNED_BYTES = 1 << 20
"""Had at a time; what some 60,000 values come to."""


@dataclass(frozen=True, kw_only=True)
class _Copy:
    """Values of one device on their way: their places among all, where they come to, and when."""

    places: list[int]
    values: Any
    there: Any


class GpuValues:
    """Takes values that a GPU has not computed yet, and keeps the order of all that is logged meanwhile."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._queue: queue.SimpleQueue[tuple[list[_Copy], int, Write] | threading.Event] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._waiting = 0
        self._pinned = _Pinned()
        self._lock = threading.Lock()

    @property
    def are_waited_for(self) -> bool:
        """Whether some are not written yet: then others queue up behind them. Not in a forked child."""
        return self._waiting > 0 and self._process == os.getpid()

    def take(self, tensors: list[Any], write: Write) -> None:
        """Have the values of some tensors written in their turn, without waiting for the GPU.

        Args:
            tensors: CUDA tensors of one value each, on one or more devices; may be empty.
            write: Gets their values in the same order.
        """
        with self._lock:
            copies = _copies(tensors, self._pinned)
            self._waiting += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="bench_track gpu", daemon=True)
                self._thread.start()
            self._queue.put((copies, len(tensors), write))

    def drain(self) -> None:
        """Return when everything that was taken before is written."""
        if self.are_waited_for and self._thread is not threading.current_thread():
            reached = threading.Event()
            self._queue.put(reached)
            reached.wait()

    def _work(self) -> None:
        while True:
            taken = self._queue.get()
            if isinstance(taken, threading.Event):
                taken.set()
                continue
            copies, count, write = taken
            write(_arrived(copies, count))
            with self._lock:
                self._waiting -= 1


class _Pinned:
    """Memory that a GPU writes to by itself, taken in pieces: having it made can wait for the GPU."""

    def __init__(self) -> None:
        self._buffer: Any = None
        self._at = 0

    def take(self, torch: Any, count: int, dtype: Any) -> Any:
        size = count * dtype.itemsize
        if self._buffer is None or self._at + size > len(self._buffer):
            self._buffer = torch.empty(max(PINNED_BYTES, size), dtype=torch.uint8, pin_memory=True)
            self._at = 0
        piece = self._buffer[self._at : self._at + size].view(dtype)
        self._at += -(-size // 16) * 16
        return piece


def _copies(tensors: list[Any], pinned: _Pinned) -> list[_Copy]:
    """Begin to copy; the current stream of each device does it in its turn."""
    torch: Any = sys.modules.get("torch")
    places: dict[Any, list[int]] = {}
    for place, tensor in enumerate(tensors):
        places.setdefault(tensor.device, []).append(place)
    copies = []
    for device, here in places.items():
        with torch.cuda.device(device), torch.no_grad():
            values = [tensors[place].detach().reshape(()) for place in here]
            if len({value.dtype for value in values}) > 1:  # else large integers would be rounded
                values = [value.double() for value in values]
            target = pinned.take(torch, len(here), values[0].dtype)
            target.copy_(values[0] if len(values) == 1 else torch.stack(values), non_blocking=True)
            there = torch.cuda.Event(blocking=True)
            there.record()
        copies.append(_Copy(places=here, values=target, there=there))
    return copies


def _arrived(copies: list[_Copy], count: int) -> list[float] | None:
    values = [0.0] * count
    try:
        for copy in copies:
            copy.there.synchronize()  # lets other threads run
            for place, value in zip(copy.places, copy.values.tolist(), strict=True):
                values[place] = value
    except Exception:  # the device failed; the training will hear of it itself
        return None
    return values
