"""What the adapters do with what Bench cannot hold: it is said once, and the training goes on."""

import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from bench_track.errors import ValueLogError
from bench_track.media import Text
from bench_track.run import Run
from bench_track.values import checked_step


@cache
def warn_once(message: str) -> None:
    """Warn, the first time that a message comes."""
    warnings.warn(f"bench_track: {message}", UserWarning, stacklevel=3)


def log_what_can_be(run: Run, values: Mapping[str, Any], step: int | None) -> None:
    """Log what a library hands on: a text as `Text`, a mapping under NAME/KEY, and not what is no value.

    Args:
        run: The run.
        values: Under their names.
        step: The step; the one after the last if not given.

    Raises:
        ValueLogError: The step is none.
        TrackError: The run is finished.
    """
    step = run.next_step() if step is None else checked_step(step)  # one, also where they are logged apart
    found = dict(_flat("", values))
    try:
        run.log(found, step)
    except ValueLogError:
        for name, value in found.items():
            try:
                run.log({name: value}, step)
            except ValueLogError:
                kind = type(value).__name__
                warn_once(f"{name!r} is left out: a {kind} cannot be logged under that name")


def _flat(before: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            yield from _flat(f"{name}/", value)
        else:
            yield name, Text(value) if isinstance(value, str) else value
