"""Series as they are drawn: no more buckets than a screen has columns, and no peak lost."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from django.db.models import F, Max, Min, QuerySet

from bench_server.errors import invalid
from bench_server.runs.models import Run
from bench_server.tracks.models import Block, Bucket, Series
from bench_server.tracks.points import (
    BLOCK,
    BUCKET,
    FACTOR,
    PAGE,
    Buckets,
    Points,
    buckets_of_points,
    merged,
    points_of,
)

MAX_WIDTH = 10_000
"""Columns of a chart."""

FINEST = 2
"""Buckets for each column, at least, where a level has them; else a finer level is read."""

LAST_STEP = (1 << 53) - 1
"""No step is greater."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """What one process of one attempt logged under a name, for a chart. The lists have the same length.

    Args:
        attempt: The attempt's number.
        rank: The process's.
        writer: The process's track: an attempt may have several of a rank, one after the other.
        count: Points of the whole series.
        steps: Of the last point of each column, ascending.
        min: The least value; None: of no finite value, as the next two.
        max: The greatest.
        last: The latest.
    """

    attempt: int
    rank: int
    writer: str
    count: int
    steps: list[int]
    min: list[float | None]
    max: list[float | None]
    last: list[float | None]


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A series' name in a run, and what was logged last under it.

    Args:
        name: The name.
        count: Points of all attempts and ranks.
        first_step: The least first one.
        last_step: Of the last point.
        last_time: Of the last point, Unix, in nanoseconds.
        last: Its value; None: NaN.
        min: The least finite value; None: there is none.
        max: The greatest.
    """

    name: str
    count: int
    first_step: int
    last_step: int
    last_time: int
    last: float | None
    min: float | None
    max: float | None

    def beside(self, other: "Listed") -> "Listed":
        """Both in one chart, of which no value is the last."""
        return Listed(
            name=self.name,
            count=self.count + other.count,
            first_step=min(self.first_step, other.first_step),
            last_step=max(self.last_step, other.last_step),
            last_time=max(self.last_time, other.last_time),
            last=None,
            min=min((value for value in (self.min, other.min) if value is not None), default=None),
            max=max((value for value in (self.max, other.max) if value is not None), default=None),
        )


def series_of(run: Run) -> list[Listed]:
    """The series of a run, by name."""
    rows = Series.objects.filter(track__attempt__run=run, count__gt=0)
    found: dict[str, Listed] = {}
    for row in rows.order_by("name", "last_time").defer("tail", "tail_batches"):
        before = found.get(row.name)
        found[row.name] = Listed(
            name=row.name,
            count=row.count + (before.count if before else 0),
            first_step=min(row.first_step, before.first_step) if before else row.first_step,
            last_step=row.last_step,
            last_time=row.last_time,
            last=row.last,
            min=min(_known(row.min, before.min if before else None), default=None),
            max=max(_known(row.max, before.max if before else None), default=None),
        )
    return list(found.values())


def last_values(runs: Collection[UUID], names: Collection[str]) -> dict[UUID, dict[str, float | None]]:
    """The last value of series, by run and name; a run without such a series has none.

    Args:
        runs: Ids of runs.
        names: Of series.
    """
    rows = Series.objects.filter(track__attempt__run__in=runs, name__in=names, count__gt=0)
    found: dict[UUID, dict[str, float | None]] = {run: {} for run in runs}
    for run, name, last in rows.order_by("last_time").values_list("track__attempt__run", "name", "last"):
        found[run][name] = last
    return found


def chart(
    run: Run, name: str, *, first: int = 0, last: int = LAST_STEP, width: int = 1000, attempt: int = 0
) -> list[Line]:
    """A series in a range of steps.

    Args:
        run: Whose.
        name: The series'.
        first: The range's first step.
        last: Its last step.
        width: Columns: no line has more places.
        attempt: Only this attempt's lines; 0: of all.

    Returns:
        A line for each process that has points in the range, by attempt, rank and age.

    Raises:
        Refused: FIELD_INVALID.
    """
    if not 1 <= width <= MAX_WIDTH:
        raise invalid("width", f"{width} is not from 1 to {MAX_WIDTH:,}")
    if not 0 <= first <= last <= LAST_STEP:
        raise invalid("first_step", f"{first} to {last} is no range of steps")
    rows = lines_of(run, [name])
    if attempt:
        rows = rows.filter(track__attempt__number=attempt)
    lines = (_line(series, first, last, width) for series in rows)
    return [line for line in lines if line.steps]


def lines_of(run: Run, names: Collection[str] = ()) -> QuerySet[Series]:
    """The series of a run, by name, attempt, rank and age; only these names, or all if none is named."""
    rows = Series.objects.filter(track__attempt__run=run, count__gt=0).select_related("track__attempt")
    if names:
        rows = rows.filter(name__in=names)
    return rows.order_by("name", "track__attempt__number", "track__rank", "pk")


def points_in(series: Series, first: int = 0, last: int = LAST_STEP) -> Iterator[Points]:
    """The points of a series in a range of steps, some at a time, in the order in which they were logged."""
    for points in _stored(series, 0, first, last):
        inside = points[(points["step"] >= first) & (points["step"] <= last)]
        if len(inside):
            yield inside


def _line(series: Series, first: int, last: int, width: int) -> Line:
    found = columns(_buckets(series, first, last, FINEST * width), first, last, width)
    return Line(
        attempt=series.track.attempt.number,
        rank=series.track.rank,
        writer=series.track.writer,
        count=series.count,
        steps=found["last_step"].tolist(),
        min=_numbers(found, "min"),
        max=_numbers(found, "max"),
        last=_numbers(found, "last"),
    )


def columns(buckets: Buckets, first: int, last: int, width: int) -> Buckets:
    """Buckets of a range as no more than the columns of a chart, by step; pure.

    Args:
        buckets: In the order in which their points were logged.
        first: The range's first step.
        last: Its last step.
        width: Columns.
    """
    inside = buckets[(buckets["last_step"] >= first) & (buckets["first_step"] <= last)]
    if not len(inside):
        return inside
    inside = inside[np.argsort(inside["last_step"], kind="stable")]
    inside["last_step"] = np.minimum(inside["last_step"], last)
    begin, end = int(inside["last_step"][0]), int(inside["last_step"][-1])
    column = ((inside["last_step"] - begin) * (width / (end - begin + 1))).astype(np.int64)
    return merged(inside, np.flatnonzero(np.diff(column, prepend=-1)))


def _buckets(series: Series, first: int, last: int, wanted: int) -> Buckets:
    """Buckets of all points in a range, at least so many where there are so many points."""
    inside = Block.objects.filter(series=series, first_step__lte=last, last_step__gte=first)
    span = inside.aggregate(begin=Min("start"), end=Max(F("start") + F("count")))
    count = (span["end"] or 0) - (span["begin"] or 0)
    level = 0
    while count // FACTOR ** (level + 1) >= wanted:
        level += 1
    found = [*_levels(series, level, first, last)]
    return np.concatenate(found) if found else np.empty(0, BUCKET)


def _levels(series: Series, level: int, first: int, last: int) -> Iterator[Buckets]:
    """Of each level from this one down to the points: what the ones above do not have yet."""
    start, blocked = 0, series.count // BLOCK * BLOCK
    for above in range(level, 0, -1):
        size = FACTOR**above
        begin, start = start // size, blocked // size * size
        rows = Bucket.objects.filter(series=series, level=above, start__gte=begin // PAGE * PAGE)
        rows = rows.filter(first_step__lte=last, last_step__gte=first).order_by("start")
        for page, data in rows.values_list("start", "buckets"):
            yield np.frombuffer(data, BUCKET)[max(0, begin - page) :]
    yield from map(buckets_of_points, _stored(series, start, first, last))


def _stored(series: Series, start: int, first: int, last: int) -> Iterator[Points]:
    """All points of the blocks that have some in a range, from a block's beginning on; none twice.

    The blocks are read after the series' row, so they may have what its tail has.
    """
    rows = Block.objects.filter(series=series, start__gte=start, first_step__lte=last, last_step__gte=first)
    end = 0
    for begin, data in rows.order_by("start").values_list("start", "points").iterator(chunk_size=64):
        points = points_of(data)
        end = begin + len(points)
        yield points
    tail = points_of(series.tail)
    yield tail[max(0, end - (series.count - len(tail))) :]


def _numbers(found: Buckets, field: str) -> list[float | None]:
    return [None if value != value else value for value in found[field].tolist()]


def _known(*values: float | None) -> list[float]:
    return [value for value in values if value is not None]
