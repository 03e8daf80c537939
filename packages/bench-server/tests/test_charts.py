"""Series in blocks and levels, and what charts make of them."""

import itertools
import random

import numpy as np
import pytest
from bench_server.errors import Refused
from bench_server.tracks import charts
from bench_server.tracks.blocks import Logged, add_points
from bench_server.tracks.models import Block, Bucket, Series, Track
from bench_server.tracks.points import BATCH, BLOCK, BUCKET, POINT, SMALL_BLOCK, Points
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from run_tools import new_run

pytestmark = pytest.mark.usefixtures("server_address")

_writers = itertools.count(1)


def new_series(name: str = "loss", rank: int = 0) -> Series:
    track = Track.objects.create(
        attempt=new_run().last_attempt, writer=f"{rank}-{next(_writers)}-x", rank=rank
    )
    return Series.objects.create(track=track, name=name)


def made(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", first_step: int = 0) -> Points:
    points = np.zeros(len(values), POINT)
    points["step"] = np.arange(first_step, first_step + len(values))
    points["time"] = points["step"] * 1_000
    points["value"] = values
    return points


def add(series: Series, points: Points) -> None:
    with transaction.atomic():
        add_points({series.pk: Logged(points, np.zeros(len(points), BATCH))})


def all_points(series: Series) -> Points:
    series.refresh_from_db()
    return np.concatenate([np.zeros(0, POINT), *charts.points_in(series)])


def test_points_are_kept_in_any_portions() -> None:
    values, series, chance = (
        np.random.default_rng(1).normal(size=3 * BLOCK + 77),
        new_series(),
        random.Random(1),
    )
    points, done = made(values), 0
    while done < len(points):
        size = chance.choice([1, 5, 255, 256, 257, 4095, 4096, 5000])
        add(series, points[done : done + size])
        done += size
    assert (all_points(series) == points).all()
    counts = Block.objects.filter(series=series).order_by("start").values_list("count", flat=True)
    assert [*counts] == [BLOCK] * 3
    assert len(series.tail) == 77 * POINT.itemsize
    add(series, made(np.zeros(3 * SMALL_BLOCK), len(points)))
    assert [*counts.all()] == [BLOCK] * 3 + [SMALL_BLOCK] * 3


@pytest.mark.parametrize("portion", [10_007, 4096, 300_000])
def test_a_chart_has_every_peak(portion: int) -> None:
    values = np.random.default_rng(2).normal(size=300_000)
    values[123_456], values[299_999] = 50.0, -60.0
    series = new_series()
    for start in range(0, len(values), portion):
        add(series, made(values[start : start + portion], start))
    run = series.track.attempt.run
    (line,) = charts.chart(run, "loss", width=800)
    assert (line.count, line.attempt, line.rank) == (300_000, 1, 0)
    assert 700 <= len(line.steps) <= 800
    assert line.steps == sorted(set(line.steps))
    assert (max(filter(None, line.max)), min(filter(None, line.min))) == (50.0, -60.0)
    assert line.last[-1] == -60.0
    (near,) = charts.chart(run, "loss", first=123_000, last=124_000, width=2000)
    assert near.steps == [*range(123_000, 124_001)]
    assert near.last == values[123_000:124_001].tolist()
    assert near.min == near.max == near.last


@pytest.mark.parametrize("count", [1, 255, 4095, 4096, 65_535, 65_536 * 3 + 4097])
@pytest.mark.parametrize("width", [1, 7, 300])
def test_columns_are_those_of_the_points(count: int, width: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    series = new_series()
    add(series, made(values))
    (line,) = charts.chart(series.track.attempt.run, "loss", width=width)
    assert len(line.steps) <= width
    assert max(found for found in line.max if found is not None) == values.max()
    assert min(found for found in line.min if found is not None) == values.min()
    assert (line.steps[-1], line.last[-1]) == (count - 1, values[-1])


def test_levels_grow_by_sixteen() -> None:
    series = new_series()
    add(series, made(np.zeros(65_536 * 2)))
    levels = Bucket.objects.filter(series=series).values_list("level", flat=True)
    assert sorted(set(levels)) == [1, 2, 3, 4]


def test_what_is_not_finite_is_no_peak() -> None:
    series = new_series()
    add(series, made(np.array([1.0, np.nan, np.inf, -np.inf, 2.0, np.nan])))
    run = series.track.attempt.run
    (line,) = charts.chart(run, "loss")
    assert line.last == [1.0, None, None, None, 2.0, None]
    (line,) = charts.chart(run, "loss", width=1)
    assert (line.min, line.max, line.last) == ([1.0], [2.0], [2.0])
    (listed,) = charts.series_of(run)
    assert (listed.count, listed.last, listed.min, listed.max) == (6, None, 1.0, 2.0)


def test_steps_may_come_twice_and_in_any_order() -> None:
    series = new_series()
    points = made(np.arange(6.0))
    points["step"] = [10, 30, 20, 20, 0, 40]
    add(series, points)
    (line,) = charts.chart(series.track.attempt.run, "loss", width=100)
    assert line.steps == [0, 10, 20, 30, 40]
    assert (line.min[2], line.max[2], line.last[2]) == (2.0, 3.0, 3.0)
    (line,) = charts.chart(series.track.attempt.run, "loss", first=5, last=25)
    assert line.steps == [10, 20]


def test_each_rank_has_a_line_and_the_list_has_the_latest() -> None:
    run = new_run()
    for rank, time in ((1, 5), (0, 9)):
        track = Track.objects.create(attempt=run.last_attempt, writer=f"{rank}-1-a", rank=rank)
        series = Series.objects.create(track=track, name="loss")
        points = made(np.array([rank + 0.5]))
        points["time"] = time
        add(series, points)
    assert [line.rank for line in charts.chart(run, "loss")] == [0, 1]
    (listed,) = charts.series_of(run)
    assert (listed.count, listed.last, listed.max) == (2, 0.5, 1.5)
    assert charts.last_values([run.pk], ["loss", "none"]) == {run.pk: {"loss": 0.5}}
    assert charts.chart(run, "none") == []


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"width": 10_001}, {"first": -1}, {"first": 2, "last": 1}, {"last": 1 << 53}]
)
def test_a_range_that_is_none_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(Refused, match=r"is not|is no range"):
        charts.chart(new_run(), "loss", **wrong)


def test_a_chart_takes_few_queries_whatever_its_length() -> None:
    series = new_series()
    add(series, made(np.zeros(200_000)))
    run = series.track.attempt.run
    with CaptureQueriesContext(connection) as queries:
        charts.chart(run, "loss", width=500)
    assert len(queries) <= 8


def test_points_that_come_while_a_series_is_read_are_read_once() -> None:
    series = new_series()
    add(series, made(np.arange(200.0)))
    read = Series.objects.get(pk=series.pk)  # with these as its last points, which then become a block
    add(series, made(np.arange(200.0, 300.0), 200))
    found = np.concatenate([*charts.points_in(read)])
    assert found["step"].tolist() == [*range(256)]


def test_no_column_lies_beyond_its_range() -> None:
    coarse = np.array([(0, 15, 0.0, 1.0, 0.5), (16, 31, 0.0, 2.0, 0.5)], BUCKET)
    found = charts.columns(coarse, 4, 20, 10)
    assert found["last_step"].tolist() == [15, 20]
    assert found["max"].tolist() == [1.0, 2.0]


def test_a_name_is_listed_once_for_all_that_logged_it() -> None:
    series = new_series()
    add(series, made(np.array([3.0, 1.0]), 4))
    attempt = series.track.attempt
    other = Track.objects.create(attempt=attempt, writer=f"1-{next(_writers)}-x", rank=1)
    later = made(np.array([np.nan, 9.0, 2.0]), 10)
    later["time"] += 1_000_000
    add(Series.objects.create(track=other, name="loss"), later)
    (listed,) = charts.series_of(attempt.run)
    assert (listed.count, listed.first_step, listed.last_step, listed.last) == (5, 4, 12, 2.0)
    assert (listed.min, listed.max) == (1.0, 9.0)
