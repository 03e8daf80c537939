"""What is measured of runs, against what, and the targets."""

from benchmarks.jobs import Job, Make, Measure, Target
from benchmarks.runs_ground import make_ground
from benchmarks.runs_works import make_ground_by_hand

RUNS = "bench_runs"


def _job(key: str, work: str, *measures: Measure, other: str = "", make: Make = make_ground) -> Job:
    return Job(
        key=key,
        group=key,
        work=work,
        make=make,
        samples=1,
        contenders=(other, RUNS) if other else (RUNS,),
        measures=measures,
        ours=RUNS,
        is_paired=bool(other),
    )


def _cost(figure: str, title: str, unit: str, *targets: Target) -> Measure:
    return Measure(figure=figure, title=title, unit=unit, targets=targets, more_is_better=False)


def _speed(figure: str, title: str) -> Measure:
    return Measure(figure=figure, title=title, unit="MB/s", targets=(Target(50),))


RUN_JOBS = (
    _job(
        "build",
        "first_build",
        _cost("seconds", "build the first image, with torch", "s"),
        _cost("more_percent", "that, over the bare one", "%", Target(10)),
        other="bare_docker",
    ),
    _job(
        "start",
        "start",
        _cost("seconds", "from the command until TrainScript.py has torch, image built, code changed", "s"),
        _cost("more_seconds", "that, over the bare one", "s", Target(1)),
        other="bare_docker",
    ),
    _job(
        "lines",
        "lines",
        _cost("median_milliseconds", "a line from the training to the follower's terminal, median", "ms"),
        _cost("late_milliseconds", "the same, 99th percentile", "ms", Target(500)),
        _cost("first_milliseconds", "the same, the first line of a run", "ms"),
    ),
    _job(
        "flood",
        "flood",
        _speed("stored", "1 GB of lines, from the training to the server's disk"),
        _speed("followed", "the same to a follower, at the same time"),
    ),
    _job(
        "steps",
        "steps",
        _cost("milliseconds", "a training step, two cores", "ms"),
        _cost("more_percent", "that, over the one by hand", "%", Target(2)),
        other="by_hand",
        make=make_ground_by_hand,
    ),
)
RUN_GROUPS = tuple(job.group for job in RUN_JOBS)
