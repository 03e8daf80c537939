"""bench-track: a run whose agent ships to a server, as it comes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.track_ground import Tracked, open_run


class Logged:
    """A run of Bench's."""

    def __init__(self, tracked: Tracked) -> None:
        self._tracked = tracked
        self._points = 0

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._tracked.run.log(values, step=step)
        self._points += len(values)

    def stored(self) -> int:
        self._tracked.run.finish()
        return self._tracked.wait_for_points(self._points)


@contextmanager
def open_log(scratch: Path) -> Iterator[Logged]:
    with open_run(scratch) as tracked:
        yield Logged(tracked)
