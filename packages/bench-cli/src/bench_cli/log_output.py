"""A training's log on its way to the terminal or a file."""

import os
import sys
from typing import BinaryIO

LINE_BYTES = 1 << 16
"""A longer line is passed on in pieces."""


class LastOfLine:
    """Of a line that was written over and over, as progress bars are, only the last state."""

    def __init__(self) -> None:
        self._line = b""
        self.held_bytes = 0
        """So many of the last bytes have a part in nothing that was said."""

    def feed(self, data: bytes) -> bytes:
        """What can be said after these bytes."""
        *lines, rest = (self._line + data).split(b"\n")
        self.held_bytes = len(data) - data.rfind(b"\n") - 1 if lines else self.held_bytes + len(data)
        said = b"".join(_last_state(line) + b"\n" for line in lines)
        if len(rest) > LINE_BYTES:
            ends_in_return = rest.endswith(b"\r")
            kept = _last_state(rest)
            if len(kept) > LINE_BYTES:
                said, kept = said + kept, b""
                self.held_bytes = 0
            rest = kept + b"\r" * ends_in_return
        self._line = rest
        return said

    def end(self) -> bytes:
        """What is left."""
        rest, self._line = self._line, b""
        return _last_state(rest)


def _last_state(line: bytes) -> bytes:
    return line.rstrip(b"\r").rpartition(b"\r")[2]


class LogOutput:
    """Where a log goes: as it is to a terminal; elsewhere lines show their last state only.

    Args:
        stream: Where to.
        dim: Whether a terminal shows it dimly.
    """

    def __init__(self, stream: BinaryIO, *, dim: bool = False) -> None:
        self._stream = stream
        is_terminal = stream.isatty()
        self._dim = dim and is_terminal and not os.environ.get("NO_COLOR")
        self._lines = None if is_terminal else LastOfLine()

    @property
    def held_bytes(self) -> int:
        """So many of the last bytes are not passed on yet."""
        return self._lines.held_bytes if self._lines else 0

    def write(self, data: bytes) -> None:
        """Pass it on, at once."""
        self._pass_on(self._lines.feed(data) if self._lines else data)

    def end(self) -> None:
        """Pass on what is left."""
        if self._lines:
            self._pass_on(self._lines.end())

    def _pass_on(self, data: bytes) -> None:
        if data:
            self._stream.write(b"\x1b[2m" + data + b"\x1b[0m" if self._dim else data)
            self._stream.flush()


def log_output() -> LogOutput:
    """Of what a training says: on standard output."""
    return LogOutput(sys.stdout.buffer)


def build_output() -> LogOutput:
    """Of what making its image says: on standard error."""
    return LogOutput(sys.stderr.buffer, dim=True)


def start_of_last_lines(data: bytes, count: int) -> int | None:
    """Where the last lines of a log begin in its last bytes; None if there are fewer line ends.

    Args:
        data: The last bytes.
        count: So many lines.
    """
    if count == 0:
        return len(data)
    at = len(data) - data.endswith(b"\n")
    for _ in range(count):
        at = data.rfind(b"\n", 0, at)
        if at < 0:
            return None
    return at + 1
