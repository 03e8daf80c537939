"""A log's bytes as lines to be shown. Pure.

What a terminal would have overwritten is left out, as are colours; bytes that are no text become a sign.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

LINE_BYTES = 4096
"""A longer line is shown as several."""

ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
UNREADABLE = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Line:
    """A line as it is shown.

    Args:
        start: The offset in the log where it begins.
        text: Without what was overwritten.
    """

    start: int
    text: str


def lines_of(data: bytes, start: int) -> list[Line]:
    """The lines in a part of a log; the last one may be one that is still being written.

    Args:
        data: Begins where a line does.
        start: Its offset in the log.
    """
    lines, offset = [], start
    for raw in data.split(b"\n"):
        lines += [Line(offset, text) for text in _shown(raw)]
        offset += len(raw) + 1
    if lines and (not data or data.endswith(b"\n")):
        lines.pop()  # nothing is behind the last line break yet
    return lines


def _shown(raw: bytes) -> Iterator[str]:
    written = ESCAPES.sub(b"", raw.rstrip(b"\r"))
    last = written.rpartition(b"\r")[2]
    for begin in range(0, max(len(last), 1), LINE_BYTES):
        text = last[begin : begin + LINE_BYTES].decode("utf-8", "replace")
        yield CONTROLS.sub(UNREADABLE, text)
