"""Which batch was logged at a step: the loader's order, and the batch's place in it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench_server.errors import Refused
from bench_server.runs.models import Attempt
from bench_server.tracks.models import Block, Order, Series
from bench_server.tracks.points import batches_of, points_of


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch of a loader.

    Args:
        order: What `bench_data.batch_samples` takes: dataset, seed, batch size and more; not checked here.
        epoch: The epoch.
        batch: Of this rank in the epoch, from 0.
    """

    order: dict[str, Any]
    epoch: int
    batch: int


def batch_at(attempt: Attempt, rank: int, step: int) -> Batch:
    """The batch that a rank had last when it logged a step; of several the latest.

    Raises:
        Refused: BATCH_NOT_FOUND.
    """
    rows = Series.objects.filter(track__attempt=attempt, track__rank=rank, first_step__lte=step)
    for series in rows.order_by("-last_time"):
        if (found := _batch_in(series, step)) is None:
            continue
        order = Order.objects.filter(track=series.track_id, number=int(found["order"])).first()
        if order is not None:
            return Batch(order=order.order, epoch=int(found["epoch"]), batch=int(found["batch"]))
    raise Refused(
        "BATCH_NOT_FOUND",
        f"at step {step:,} of attempt {attempt.number}, rank {rank}, nothing says which batch it was",
        hint="It is known where a training logs while it goes through a bench_data loader.",
    )


def _batch_in(series: Series, step: int) -> Any:
    """The last known batch of a step in a series; None if there is none."""
    tail = points_of(series.tail)
    if (found := _last(tail["step"], series.tail_batches, step)) is not None:
        return found
    blocks = Block.objects.filter(series=series, first_step__lte=step, last_step__gte=step)
    for block in blocks.order_by("-start")[:2]:
        if (found := _last(points_of(block.points)["step"], block.batches, step)) is not None:
            return found
    return None


def _last(steps: Any, batches: bytes | memoryview, step: int) -> Any:
    if not len(batches):
        return None
    known = batches_of(batches, len(steps))
    places = np.flatnonzero((steps == step) & (known["order"] > 0))
    return known[places[-1]] if len(places) else None
