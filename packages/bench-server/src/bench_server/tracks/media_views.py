"""Histograms, texts and tables as pages show them. Pure; what a training logged is not trusted."""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

TEXT_CHARACTERS = 20_000
ROWS, COLUMNS = 200, 50
CELL_CHARACTERS = 500
BINS = 1000
WIDTH, HEIGHT = 320.0, 120.0
"""Of a histogram's drawing."""


@dataclass(frozen=True)
class Bar:
    """A bin of a histogram, and where it is drawn.

    Args:
        low: Its lower edge.
        high: Its upper one.
        count: Of values in it.
        x: Left, in the drawing.
        width: In the drawing.
        y: Top, in the drawing.
        height: In the drawing.
    """

    low: float
    high: float
    count: float
    x: float
    width: float
    y: float
    height: float


@dataclass(frozen=True)
class TableView:
    """The first rows of a table.

    Args:
        columns: Their names.
        rows: A text for each column.
        total: How many rows there are.
    """

    columns: list[str]
    rows: list[list[str]]
    total: int


def bars(content: bytes) -> list[Bar]:
    """A histogram's bins.

    Raises:
        ValueError: It is none.
    """
    count = len(content) // 8
    if len(content) % 8 or count % 2 == 0 or not 1 <= count // 2 <= BINS:
        raise ValueError("its bytes are no edges and counts")
    numbers = struct.unpack(f"<{count}d", content)
    edges, counts = numbers[: count // 2 + 1], numbers[count // 2 + 1 :]
    span, most = edges[-1] - edges[0], max(counts)
    if not all(low <= high for low, high in pairwise(edges)) or not math.isfinite(span):
        raise ValueError("its edges do not ascend")
    if not all(number >= 0 and math.isfinite(number) for number in counts):
        raise ValueError("its counts are none")
    made = []
    for place, number in enumerate(counts):
        low, high = edges[place], edges[place + 1]
        left = WIDTH * ((low - edges[0]) / span if span else place / len(counts))
        width = WIDTH * ((high - low) / span if span else 1 / len(counts))
        height = HEIGHT * number / most if most else 0.0
        made.append(Bar(low, high, number, left, width, HEIGHT - height, height))
    return made


def counted(header: Mapping[str, Any]) -> str:
    """What a histogram's header says of its values that its bars do not show."""
    said = {
        name: header[name]
        for name in ("count", "mean", "nan", "inf")
        if type(header.get(name)) in (int, float)
    }
    parts = [f"{said['count']:,} values"] if "count" in said else []
    parts += [f"mean {said['mean']:.4g}"] if "mean" in said else []
    parts += [
        f"{said[name]:,} {word}" for name, word in (("nan", "NaN"), ("inf", "infinite")) if said.get(name)
    ]
    return ", ".join(parts)


def text(content: bytes) -> str:
    """A text, shortened where it is long."""
    whole = content[: 4 * TEXT_CHARACTERS].decode("utf-8", "replace")
    return whole if len(whole) <= TEXT_CHARACTERS else f"{whole[:TEXT_CHARACTERS]}…"


def table(content: bytes) -> TableView:
    """A table.

    Raises:
        ValueError: It is none.
    """
    try:
        found = json.loads(content)
        columns, rows = found["columns"], found["rows"]
        names = [_cell(name) for name in columns[:COLUMNS]]
        shown = [[_cell(value) for value in row[: len(names)]] for row in rows[:ROWS]]
        return TableView(names, shown, len(rows))
    except (KeyError, TypeError, RecursionError):
        raise ValueError("its JSON is no table") from None


def _cell(value: Any) -> str:
    whole = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return whole if len(whole) <= CELL_CHARACTERS else f"{whole[:CELL_CHARACTERS]}…"
