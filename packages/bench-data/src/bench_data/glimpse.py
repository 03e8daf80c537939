"""A label as far as it can be looked at: the beginning of what is long, and the shape of what is large."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_PARTS, MAX_LEVELS = 100, 8
"""Of a label that are shown; more would not be read by anybody."""

MAX_VALUES, MAX_CHARACTERS = 8, 300
"""Of an array, and of a string."""


@dataclass(frozen=True)
class Glimpse:
    """A label, or a part of one.

    Args:
        kind: What it is: `dict`, `int`, `float32 (3, 224, 224)`.
        text: Its value or the beginning of it; empty for what has items.
        items: Its parts and what they are called.
    """

    kind: str
    text: str = ""
    items: tuple[tuple[str, "Glimpse"], ...] = ()


class Room:
    """Counts the parts that may still be shown."""

    def __init__(self) -> None:
        self.parts = MAX_PARTS

    def take(self) -> bool:
        """Whether there is room for one more."""
        self.parts -= 1
        return self.parts >= 0


MORE = ("…", Glimpse("", "not shown"))
"""Stands for the parts for which there is no room."""


def limited(parts: Iterator[tuple[str, Glimpse]], room: Room) -> tuple[tuple[str, Glimpse], ...]:
    """The parts for which there is room."""
    found: list[tuple[str, Glimpse]] = []
    for part in parts:
        if not room.take():
            return (*found, MORE)
        found.append(part)
    return tuple(found)


def glimpse_of(value: Any, room: Room | None = None, levels: int = MAX_LEVELS) -> Glimpse:
    """A glimpse of a value.

    Args:
        value: A tree of plain values, numpy arrays and glimpses.
        room: For how many parts.
        levels: How many of them, one in the other, are shown.
    """
    if isinstance(value, Glimpse):
        return value
    room = room or Room()
    kind = type(value).__name__
    if isinstance(value, np.ndarray):
        return array_glimpse(str(value.dtype), value.shape, value.reshape(-1)[:MAX_VALUES])
    if isinstance(value, (dict, list, tuple)):
        if not levels:
            return Glimpse(kind, items=(MORE,))
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        parts = ((str(key), glimpse_of(item, room, levels - 1)) for key, item in pairs)
        return Glimpse(kind, items=limited(parts, room))
    if isinstance(value, bytes):
        return bytes_glimpse(value[:MAX_CHARACTERS], len(value))
    return Glimpse(kind, shortened(str(value)))


def array_glimpse(dtype: str, shape: tuple[int, ...], first: Iterable[Any] = ()) -> Glimpse:
    """A glimpse of an array by its first values, of which there may be none."""
    values = list(map(str, first))
    rest = ["…"] if 0 < len(values) < math.prod(shape) else []
    return Glimpse(f"{dtype} {shape}", ", ".join([*values, *rest]))


def bytes_glimpse(first: bytes, length: int) -> Glimpse:
    """A glimpse of bytes by the first of them."""
    text = first[:16].hex(" ")
    return Glimpse(f"bytes ({length})", text if length <= 16 else f"{text} …")


def shortened(text: str) -> str:
    """The beginning of a text."""
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
