"""A run that a library's adapter logs to: the script's, or one that is begun for it."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from bench_track.beginning import current, init
from bench_track.run import Run, end_of


@dataclass
class _Use:
    """Who uses a run that was begun for an adapter.

    Args:
        keys: What it was begun and taken up for.
        holders: The adapters that still log to it.
        end: State, exit code and message, once nobody does.
    """

    keys: set[object] = field(default_factory=set)
    holders: "WeakSet[HeldRun]" = field(default_factory=WeakSet)
    end: tuple[str, int | None, str | None] = ("succeeded", None, None)


_begun: "WeakKeyDictionary[Run, _Use]" = WeakKeyDictionary()
"""Those that are of no server's run, which lasts as long as the script."""


class HeldRun:
    """The run of an adapter, taken up when it is first asked for.

    While a run goes on, it is that one. Else one is begun; it ends with the script, or when another adapter
    takes one up while nobody holds this one any more: two trainings of a script are two runs.

    Args:
        key: Adapters of equal keys share a run, even one after the other; unless given, nobody's else.
        group: For `bench_track.init`, as are the following.
        tags: Words to find it by.
        project: The project's id.
        rank: Of this process, if the library says it.
        run: The run to log to.
    """

    def __init__(
        self,
        key: object = None,
        *,
        group: str | None = None,
        tags: Sequence[str] = (),
        project: str | None = None,
        rank: int | None = None,
        run: Run | None = None,
    ) -> None:
        self._key = object() if key is None else key
        self._about: dict[str, Any] = {"group": group, "tags": tags, "project": project, "rank": rank}
        self._run = run
        self._is_holding = False

    @property
    def run(self) -> Run:
        """The run.

        Raises:
            ValueLogError: The group or a tag cannot be.
            TrackError: The run's folder cannot be made.
        """
        if self._run is None or (self._run.is_finished and self._run in _begun):
            self._run, self._is_holding = self._take_up(), False
        if not self._is_holding:
            self._is_holding = True
            if use := _begun.get(self._run):
                use.holders.add(self)
                use.keys.add(self._key)
        return self._run

    def release(self) -> None:
        """Let go of it: with the exception that is being handled, if one is. `run` takes it up again."""
        self._is_holding = False
        if self._run is not None and (use := _begun.get(self._run)):
            use.holders.discard(self)
            if error := sys.exc_info()[1]:
                use.end = end_of(error)

    def end(self, *, failed: bool = False) -> None:
        """Let go of it, and end it if it was begun for an adapter and nobody else holds it.

        Args:
            failed: Whether it failed, though no exception says so.
        """
        self.release()
        use = _begun.get(self._run) if self._run is not None else None
        if use is not None and self._run is not None and not use.holders:
            if failed and use.end[0] == "succeeded":
                use.end = ("failed", None, None)
            _finish(self._run, use)

    def _take_up(self) -> Run:
        run = current()
        use = _begun.get(run) if run is not None else None
        if run is not None and use is not None and not use.holders and self._key not in use.keys:
            _finish(run, use)
            run = None
        if run is None:
            run = init(**self._about)
            if run.is_outside:
                _begun[run] = _Use()
        return run

    def __getstate__(self) -> dict[str, Any]:
        """For a process that is spawned: it takes up its own."""
        return {**self.__dict__, "_run": None, "_is_holding": False}


def _finish(run: Run, use: _Use) -> None:
    state, code, message = use.end
    run.finish(state=state, exit_code=code, message=message)
