"""What can be logged beside numbers: histograms, images, texts and tables."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench_track.errors import ValueLogError
from bench_track.histogram import Bins, count_values
from bench_track.jsons import checked, to_json
from bench_track.pixels import image_file
from bench_track.records import MAX_PAYLOAD_BYTES
from bench_track.values import check_names, no_number

MAX_CONTENT_BYTES = MAX_PAYLOAD_BYTES - (1 << 21)
"""What a record has room for beside the largest header."""


class Medium(Protocol):
    """What `run.log` takes beside numbers."""

    def header(self) -> dict[str, Any]:
        """What a media record says of it, `type` first (docs/tracking.md)."""

    def content(self) -> bytes:
        """What a media record holds of it."""


class Histogram:
    """How values are distributed.

    Args:
        values: A tensor, array or sequence of numbers of any shape; NaN and infinities are counted apart.
        bins: How many bins of equal width.

    Raises:
        ValueLogError: They are no numbers.

    Example:
        run.log({"grad/fc1": Histogram(model.fc1.weight.grad)}, step=step)
    """

    def __init__(self, values: Any, bins: int = 64) -> None:
        if bins < 1:
            raise ValueLogError(f"a histogram cannot have {bins} bins")
        self._bins = count_values(values, bins)

    @classmethod
    def of_counts(cls, edges: Sequence[float], counts: Sequence[float]) -> "Histogram":
        """A histogram that was counted elsewhere.

        Args:
            edges: Of the bins, ascending (B + 1,).
            counts: Of the values in each (B,).
        """
        if len(edges) != len(counts) + 1 or not counts:
            raise ValueLogError(f"{len(edges)} edges do not fit {len(counts)} counts", hint="Give one more.")
        made = cls.__new__(cls)
        made._bins = Bins.of_counts([float(edge) for edge in edges], [float(count) for count in counts])
        return made

    def header(self) -> dict[str, Any]:
        """What a media record says of it."""
        return {"type": "histogram", **self._bins.summary()}

    def content(self) -> bytes:
        """Its edges and counts."""
        return self._bins.pack()


class Image:
    """An image.

    Args:
        data: An array (H, W) or (H, W, C) or a tensor (H, W) or (C, H, W), C being 1 to 4; of uint8,
            bools, or floats from 0 to 1. Or an image of PIL, a figure of matplotlib, or the path or
            the bytes of a file.
        caption: A line about it.
        layout: "HWC" or "CHW", if the channels are elsewhere than above.

    Raises:
        ValueLogError: It is none.

    Example:
        run.log({"samples": [Image(tensor) for tensor in batch[:8]]}, step=step)
    """

    def __init__(self, data: Any, caption: str | None = None, *, layout: str | None = None) -> None:
        self._format, self._content = image_file(data, layout)
        self._caption = caption

    def header(self) -> dict[str, Any]:
        """What a media record says of it."""
        caption = {} if self._caption is None else {"caption": to_json(str(self._caption))}
        return {"type": "image", "format": self._format, **caption}

    def content(self) -> bytes:
        """The file."""
        return self._content


@dataclass(frozen=True)
class Text:
    """A text.

    Args:
        text: The text.
    """

    text: str

    def header(self) -> dict[str, Any]:
        """What a media record says of it."""
        return {"type": "text"}

    def content(self) -> bytes:
        """UTF-8."""
        return str(self.text).encode("utf-8", "replace")


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        columns: The names of the columns.
        rows: A value for each column; what JSON has not is a text.

    Raises:
        ValueLogError: A row has another number of values.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]] = field(repr=False)

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueLogError(
                    f"row {number} has {len(row)} values, and the table has {len(self.columns)} columns"
                )

    def header(self) -> dict[str, Any]:
        """What a media record says of it."""
        return {"type": "table", "rows": len(self.rows)}

    def content(self) -> bytes:
        """JSON."""
        rows = [[to_json(value) for value in row] for row in self.rows]
        table = {"columns": [to_json(str(name)) for name in self.columns], "rows": rows}
        return json.dumps(table, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


MEDIA = (Histogram, Image, Text, Table)


def media_of(name: str, value: Any) -> list[tuple[dict[str, Any], bytes]]:
    """Headers and contents of what was given under a name: one, or a list of images.

    Raises:
        ValueLogError: It is neither, or larger than a record may be.
    """
    check_names((name,))
    if not isinstance(value, list | tuple):
        return [_record(name, value)]
    if not value or not all(isinstance(one, Image) for one in value):
        raise no_number(name, value)
    return [_record(name, image, index=place) for place, image in enumerate(value)]


def _record(name: str, medium: Medium, **more: int) -> tuple[dict[str, Any], bytes]:
    header, content = checked(name, {"series": name, **medium.header(), **more}), medium.content()
    if len(content) > MAX_CONTENT_BYTES:
        raise ValueLogError(
            f"{name} has {len(content):,} bytes, and may have {MAX_CONTENT_BYTES:,}",
            hint="Log a smaller image, or fewer rows.",
        )
    return header, content
