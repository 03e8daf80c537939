"""Which checkpoints are kept."""

import math
from dataclasses import dataclass
from typing import Literal

from bench_track.checkpoint_folder import Checkpoint
from bench_track.errors import CheckpointError

Better = Literal["max", "min"]
"""Whether a metric is better if it is larger (an accuracy) or smaller (a loss)."""


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """Which checkpoints are kept.

    Args:
        last: How many of the newest, at least 1.
        best: How many of those with the best metrics.
        better: What a better metric is.
    """

    last: int = 2
    best: int = 1
    better: Better = "max"

    def __post_init__(self) -> None:
        are_counts = isinstance(self.last, int) and isinstance(self.best, int)
        if not are_counts or self.last < 1 or self.best < 0 or self.better not in ("max", "min"):
            raise CheckpointError(
                f"keep_last={self.last}, keep_best={self.best}, better={self.better!r} says nothing",
                hint="keep_last is 1 or more, keep_best 0 or more, better is 'max' or 'min'.",
            )

    def surplus(self, newest_first: list[Checkpoint]) -> list[Checkpoint]:
        """Those that are not kept, of all that are whole."""
        steps = {one.step: one for one in reversed(newest_first)}  # of a step that came twice, the newer
        alone = [one for one in newest_first if steps[one.step] is one]
        rated = sorted((one for one in alone if one.metric is not None), key=self.rating, reverse=True)
        kept = {one.name for one in [*alone[: self.last], *rated[: self.best]]}
        return [one for one in newest_first if one.name not in kept]

    def rating(self, checkpoint: Checkpoint) -> float:
        """Its metric, larger for a better one."""
        metric = -math.inf if checkpoint.metric is None else checkpoint.metric
        return metric if self.better == "max" or checkpoint.metric is None else -metric
