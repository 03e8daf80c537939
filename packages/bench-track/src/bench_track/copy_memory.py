"""Memory that is kept from one copy of a state to the next."""

from collections import defaultdict
from typing import Any


class CopyMemory:
    """Hands out pieces of memory for one copy at a time, the same ones again where the sizes are the same.

    Pages that a process gets anew are cleared and mapped one by one: that takes several times as long as the
    copying. Most states have the same sizes each time.
    """

    def __init__(self) -> None:
        self._free: dict[int, list[Any]] = {}
        self._taken: dict[int, list[Any]] = defaultdict(list)

    def begin(self) -> None:
        """Have all that was handed out for the copy before; what that did not need is given back."""
        self._free, self._taken = self._taken, defaultdict(list)

    def take(self, torch: Any, size: int) -> Any:
        """A uint8 tensor of so many bytes on the CPU, with anything in it."""
        free = self._free.get(size)
        piece = free.pop() if free else torch.empty(size, dtype=torch.uint8)
        self._taken[size].append(piece)
        return piece
