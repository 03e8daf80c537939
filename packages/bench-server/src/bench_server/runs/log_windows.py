"""Parts of a stored log as pages show them: never more than a window of it, however long it is."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench_server.runs.log_lines import Line, lines_of
from bench_server.runs.log_store import PIECE_BYTES, read_range, size_of

WINDOW_BYTES = 1 << 16

SEARCH_BYTES = 64 << 20
"""Looked through by one request; the next one goes on."""

HITS = 200
"""Found by one request."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """Some lines of a log.

    Args:
        start: The offset of the first one.
        after: Where to go on: behind the last one, or at its beginning if it may still grow.
        end: The offset behind all that was looked at.
        size: Of the log.
        lines: Each with its offset.
    """

    start: int
    after: int
    end: int
    size: int
    lines: list[Line]

    def to_json(self) -> dict[str, Any]:
        """What scripts take."""
        return {**asdict(self), "lines": [[line.start, line.text] for line in self.lines]}


@dataclass(frozen=True)
class Found:
    """What a search found.

    Args:
        hits: Lines that have the text.
        looked_at: So far it has looked.
        size: Of the log.
    """

    hits: list[Line]
    looked_at: int
    size: int

    @property
    def is_whole(self) -> bool:
        """Whether it has looked at all of the log."""
        return self.looked_at >= self.size


def window_after(path: Path, start: int) -> Window:
    """The lines from one on, which begins at an offset."""
    size = size_of(path)
    start = min(max(start, 0), size)
    data = read_range(path, start, WINDOW_BYTES)
    reaches_end = start + len(data) >= size
    whole = data.rfind(b"\n") + 1
    if not reaches_end and whole:
        data = data[:whole]
    after = start + (whole if reaches_end else len(data))
    return Window(start=start, after=after, end=start + len(data), size=size, lines=lines_of(data, start))


def window_before(path: Path, end: int) -> Window:
    """The lines before an offset, at which one ends."""
    size = size_of(path)
    end = min(max(end, 0), size)
    begin = max(0, end - WINDOW_BYTES)
    data = read_range(path, begin, end - begin)
    skipped = 0 if begin == 0 else data.find(b"\n", 0, len(data) - 1) + 1
    data, start = data[skipped:], begin + skipped
    after = start + data.rfind(b"\n") + 1 if end == size else end
    return Window(start=start, after=after, end=end, size=size, lines=lines_of(data, start))


def window_at(path: Path, offset: int) -> Window:
    """The lines from some before an offset on."""
    earlier = read_range(path, max(0, offset - WINDOW_BYTES // 8), min(max(offset, 0), WINDOW_BYTES // 8))
    begin = max(0, offset - len(earlier))
    return window_after(path, begin + (earlier.find(b"\n") + 1 if begin else 0))


def search(path: Path, text: str, start: int) -> Found:
    """Lines from an offset on that have a text, whatever its case."""
    size, looked_at = size_of(path), max(start, 0)
    hits: list[Line] = []
    for offset, data in _pieces(path, looked_at, size):
        for line, behind in _hits(data, offset, text.lower().encode()):
            hits.append(line)
            if len(hits) == HITS:
                return Found(hits, behind, size)
        looked_at = offset + len(data)
        if looked_at - start >= SEARCH_BYTES:
            break
    return Found(hits, looked_at, size)


def _pieces(path: Path, offset: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Parts of a log that end where lines do, unless a line is longer than a part."""
    while offset < size and (data := read_range(path, offset, PIECE_BYTES)):
        whole = data.rfind(b"\n") + 1
        if whole and offset + len(data) < size:
            data = data[:whole]
        yield offset, data
        offset += len(data)


def _hits(data: bytes, offset: int, wanted: bytes) -> Iterator[tuple[Line, int]]:
    """Lines with a text in lower case, each with the offset behind it."""
    lowered = data.lower()
    place = lowered.find(wanted)
    while place >= 0:
        begin, end = data.rfind(b"\n", 0, place) + 1, data.find(b"\n", place)
        end = len(data) if end < 0 else end
        part = data[begin:end] if end - begin < WINDOW_BYTES else data[max(begin, place - 100) : place + 200]
        yield Line(offset + begin, " ".join(line.text for line in lines_of(part, 0))), offset + end + 1
        place = lowered.find(wanted, end)
