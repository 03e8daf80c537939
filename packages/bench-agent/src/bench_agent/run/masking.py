"""No secret in a log: each byte of a secret's value becomes `*`, so that offsets stay. Pure.

The agent masks what it sends; the runner masks what it takes from the spool after the agent's end. Against
accidents, not against a training that wants to tell: it can print a value in another form.
"""

from collections.abc import Iterable, Iterator

SHORTEST = 6
"""Bytes of a value that is masked: a shorter one is in too many harmless words."""

SHORTEST_LINE = 16
"""Bytes of a line that is masked on its own, of a value of several: a key is often printed line by line."""


class Masker:
    """Finds secrets.

    Args:
        values: The secrets.
    """

    def __init__(self, values: Iterable[bytes]) -> None:
        self._patterns = sorted(_patterns(values))
        longest = max(map(len, self._patterns), default=1)
        self.context = longest - 1
        """How many bytes before and behind a piece of the log say what is masked at its borders."""

    def mask(self, data: bytes) -> bytes:
        """The data with every secret in it masked."""
        spans = [span for pattern in self._patterns for span in _occurrences(data, pattern)]
        if not spans:
            return data
        masked = bytearray(data)
        for start, stop in spans:
            masked[start:stop] = b"*" * (stop - start)
        return bytes(masked)

    def open_end(self, data: bytes) -> int:
        """How many bytes at the end may be the beginning of a secret."""
        return max((_overlap(data, pattern) for pattern in self._patterns), default=0)


def masked(pieces: Iterable[bytes], values: Iterable[bytes]) -> Iterator[bytes]:
    """A log without secrets, as long as before.

    Args:
        pieces: The log, one piece behind the other. Those that begin within it begin `Masker.context` bytes
            before the first one that counts.
        values: The secrets.
    """
    masker = Masker(values)
    seen, held = b"", b""
    for piece in pieces:
        data = seen + held + piece
        stop = len(data) - masker.open_end(data)
        if stop > len(seen):
            yield masker.mask(data)[len(seen) : stop]
            seen, held = data[max(0, stop - masker.context) : stop], data[stop:]
        else:
            held += piece
    if held:
        yield masker.mask(seen + held)[len(seen) :]


def _patterns(values: Iterable[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    for value in values:
        whole = value.strip()
        lines = whole.splitlines()
        if len(lines) > 1:
            found.update(line.strip() for line in lines if len(line.strip()) >= SHORTEST_LINE)
        if len(whole) >= SHORTEST:
            found.add(whole)
    return found


def _occurrences(data: bytes, pattern: bytes) -> Iterable[tuple[int, int]]:
    at = data.find(pattern)
    while at >= 0:
        yield at, at + len(pattern)
        at = data.find(pattern, at + 1)  # not behind it: a secret may overlap itself


def _overlap(data: bytes, pattern: bytes) -> int:
    at = data.find(pattern[:1], max(0, len(data) - len(pattern) + 1))
    while at >= 0:
        if pattern.startswith(data[at:]):
            return len(data) - at
        at = data.find(pattern[:1], at + 1)
    return 0
