"""What is measured of tracks, against whom, and the targets."""

from functools import partial

from benchmarks import data
from benchmarks.jobs import Job, Make, Measure, Target
from benchmarks.track_ground import make_spool

TRACK = "bench_track_run"


def _job(
    key: str,
    work: str,
    make: Make,
    samples: int,
    *measures: Measure,
    others: tuple[str, ...] = (),
    is_paired: bool = False,
) -> Job:
    return Job(
        key=key,
        group=key,
        work=work,
        make=make,
        samples=samples,
        contenders=(*others, TRACK),
        measures=measures,
        ours=TRACK,
        is_paired=is_paired,
    )


def _cost(figure: str, title: str, unit: str, *targets: Target, panel: str = "") -> Measure:
    return Measure(figure=figure, title=title, unit=unit, targets=targets, more_is_better=False, panel=panel)


def _overhead(key: str, images: int) -> Job:
    return _job(
        key,
        "logged_steps",
        data.counter,
        images,
        _cost("milliseconds", f"a training step of {images} images that logs 5 scalars, one core", "ms"),
        _cost("more_percent", "that, over one without logging", "%", Target(1)),
        others=("without_logging",),
        is_paired=True,
    )


TRACK_JOBS = (
    _job(
        "log",
        "log_calls",
        data.counter,
        2_000,
        _cost(
            "median_microseconds",
            "log 5 scalars, 200 times a second while they are shipped, median of the call",
            "µs",
            Target(5),
            Target(20, ("summary_writer",)),
            Target(1000, ("mlflow_server",)),
        ),
        _cost("late_microseconds", "the same, 99.9th percentile", "µs", Target(1000)),
        _cost("tight_microseconds", "log 5 scalars, one call after the other, median", "µs"),
        others=("bare_write", "summary_writer", "mlflow_server", "mlflow_behind"),
    ),
    _job(
        "ingest",
        "ingest",
        partial(make_spool, series=5),
        2_000_000,
        Measure(
            figure="points_per_second",
            title="2,000,000 points in records of 5 from a spool into SQLite",
            unit="points/s",
            targets=(Target(50_000),),
        ),
    ),
    _overhead("overhead", 16),
    _overhead("overhead_long", 256),
    _job(
        "chart",
        "draw",
        partial(make_spool, series=1),
        10_000_000,
        _cost(
            "first_milliseconds",
            "a chart of 10,000,000 points at width 1,000, the first time",
            "ms",
            Target(300),
        ),
        _cost("median_milliseconds", "the same again, median", "ms", Target(300)),
        _cost("zoom_milliseconds", "the same of ranges of it, median", "ms", Target(300)),
    ),
    _job(
        "checkpoint",
        "checkpoint_stall",
        data.counter,
        1000,
        _cost("milliseconds", "what a checkpoint of 1 GB adds to its step", "ms"),
        _cost("more_milliseconds", "that, over a bare copy", "ms", Target(50)),
        _cost("first_milliseconds", "the same of the first checkpoint of a process", "ms"),
        others=("bare_copy",),
        is_paired=True,
    ),
)
TRACK_GROUPS = tuple(job.group for job in TRACK_JOBS)
