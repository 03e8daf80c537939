"""Points become part of series: their blocks, and the levels of buckets above those.

A series' last points, fewer than SMALL_BLOCK, are in its row. Behind every BLOCK points the small blocks
become one, and the levels grow; all that is written again is the last page of each level.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bench_server.tracks.models import Block, Bucket, Series
from bench_server.tracks.points import (
    BLOCK,
    BUCKET,
    FACTOR,
    PAGE,
    SMALL_BLOCK,
    Batches,
    Buckets,
    Points,
    batches_of,
    buckets_of_points,
    level_above,
    packed_batches,
    points_of,
)

COUNTED = ("count", "first_step", "last_step", "last_time", "last", "min", "max", "tail", "tail_batches")
"""The columns of a series that new points change."""


@dataclass(frozen=True)
class Logged:
    """Points of one series, in the order in which they were logged, at least one.

    Args:
        points: The points.
        batches: As many.
    """

    points: Points
    batches: Batches


@dataclass
class _Changes:
    blocks: list[Block] = field(default_factory=list)
    buckets: list[Bucket] = field(default_factory=list)


def add_points(logged: Mapping[int, Logged]) -> None:
    """Add points to series; the caller has a transaction, and nobody else writes these series.

    Args:
        logged: The points, by the id of their series.
    """
    changes = _Changes()
    rows = list(Series.objects.filter(pk__in=logged))
    for series in rows:
        _add(series, logged[series.pk], changes)
    Block.objects.bulk_create(changes.blocks)
    Bucket.objects.bulk_create(
        changes.buckets,
        update_conflicts=True,
        unique_fields=["series", "level", "start"],
        update_fields=["first_step", "last_step", "buckets"],
    )
    Series.objects.bulk_create(rows, update_conflicts=True, unique_fields=["id"], update_fields=COUNTED)


def _add(series: Series, new: Logged, changes: _Changes) -> None:
    tail = points_of(series.tail)
    points = np.concatenate([tail, new.points])
    batches = np.concatenate([batches_of(series.tail_batches, len(tail)), new.batches])
    start = series.count - len(tail)
    _count(series, new.points)
    if series.count // BLOCK > start // BLOCK:
        small = _take_small_blocks(series, start)
        points = np.concatenate([small.points, points])
        batches = np.concatenate([small.batches, batches])
        start -= len(small.points)
    done = 0
    for size in (BLOCK, SMALL_BLOCK):
        while len(points) - done >= size:
            changes.blocks.append(_block(series, start + done, points[done:], batches[done:], size))
            done += size
        if size == BLOCK and done:
            _grow(series, 1, start // FACTOR, level_above(buckets_of_points(points[:done])), changes)
    series.tail, series.tail_batches = points[done:].tobytes(), packed_batches(batches[done:])


def _count(series: Series, points: Points) -> None:
    values = points["value"]
    finite = values[np.isfinite(values)]
    least = int(points["step"].min())
    series.first_step = min(series.first_step, least) if series.count else least
    series.count += len(points)
    latest = points[-1]
    series.last_step, series.last_time = int(latest["step"]), int(latest["time"])
    series.last = None if np.isnan(latest["value"]) else float(latest["value"])
    if len(finite):
        low, high = float(finite.min()), float(finite.max())
        series.min = low if series.min is None else min(low, series.min)
        series.max = high if series.max is None else max(high, series.max)


def _take_small_blocks(series: Series, end: int) -> Logged:
    """Remove the small blocks in front of a place, and give what they had."""
    rows = Block.objects.filter(series=series, start__gte=end // BLOCK * BLOCK).order_by("start")
    found = list(rows)
    rows.delete()
    return Logged(
        np.concatenate([points_of(b""), *(points_of(block.points) for block in found)]),
        np.concatenate([batches_of(b"", 0), *(batches_of(block.batches, block.count) for block in found)]),
    )


def _block(series: Series, start: int, points: Points, batches: Batches, size: int) -> Block:
    steps = points["step"][:size]
    return Block(
        series=series,
        start=start,
        count=size,
        first_step=int(steps.min()),
        last_step=int(steps.max()),
        points=points[:size].tobytes(),
        batches=packed_batches(batches[:size]),
    )


def _grow(series: Series, level: int, start: int, new: Buckets, changes: _Changes) -> None:
    """Add buckets to a level, and to those above it what is whole then.

    Args:
        series: Whose.
        level: Which.
        start: How many buckets the level has.
        new: Those that follow.
        changes: Where the pages to be written are put.
    """
    page = start // PAGE * PAGE
    if start > page:
        row = Bucket.objects.get(series=series, level=level, start=page)
        new = np.concatenate([np.frombuffer(row.buckets, BUCKET)[: start - page], new])
    for begin in range(0, len(new), PAGE):
        part = new[begin : begin + PAGE]
        changes.buckets.append(
            Bucket(
                series=series,
                level=level,
                start=page + begin,
                first_step=int(part["first_step"].min()),
                last_step=int(part["last_step"].max()),
                buckets=part.tobytes(),
            )
        )
    done, whole = start // FACTOR, (page + len(new)) // FACTOR
    if whole > done:
        group = new[done * FACTOR - page : whole * FACTOR - page]
        _grow(series, level + 1, done, level_above(group), changes)
