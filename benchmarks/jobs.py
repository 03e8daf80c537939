"""What is measured against whom, and the targets."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import data
from benchmarks.command_line import make_nothing

OURS = "bench_data_chunks"
PEERS = ("web_dataset", "mds", "lit_data")
"""Those that the targets name. ArrayRecord, which knows no labels and has no loader, is measured besides."""
WRITERS = ("tar", *PEERS, "array_record_files", OURS)
READERS = ("plain_files", *PEERS, "array_record_files", OURS)

Make = Callable[[Path, int], Path]
"""Makes the source data in a cache folder, with a number of samples."""


@dataclass(frozen=True)
class Target:
    """A bound on our median: a multiple of the best of `against`, or absolute where there is none."""

    bound: float
    against: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure of a job, one section of the table.

    Args:
        figure: Its key in what the work gives.
        title: The section's heading.
        unit: Of the values.
        targets: What is to be reached.
        more_is_better: Whether values and bounds are of speed; else they are of cost.
        panel: Its title in the chart, if it is shown there.
    """

    figure: str
    title: str
    unit: str
    targets: tuple[Target, ...] = ()
    more_is_better: bool = True
    panel: str = ""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A work on some data, by each contender in turn.

    Args:
        key: Its name in the raw results.
        group: What `--only` selects it by.
        work: In `works.WORKS`.
        make: Gives the source data.
        samples: How many, at scale 1.
        contenders: Who takes part.
        measures: Its figures.
        needs: The work that first makes what this one opens.
        ours: The contender that the others are compared with.
        is_paired: Whether one process does the work for all of them, taking turns: its figures are then named
            `contender.figure`.
    """

    key: str
    group: str
    work: str
    make: Make
    samples: int
    contenders: tuple[str, ...]
    measures: tuple[Measure, ...]
    needs: str = ""
    ours: str = OURS
    is_paired: bool = False


def _write(key: str, group: str, work: str, files: "tuple[Make, int]", *measures: Measure) -> Job:
    make, samples = files
    return Job(
        key=key, group=group, work=work, make=make, samples=samples, contenders=WRITERS, measures=measures
    )


def _read(key: str, group: str, work: str, files: "tuple[Make, int]", measure: Measure) -> Job:
    make, samples = files
    return Job(
        key=key,
        group=group,
        work=work,
        make=make,
        samples=samples,
        contenders=READERS,
        measures=(measure,),
        needs="write",
    )


def _overhead(percent: float) -> Measure:
    return Measure(
        figure="overhead_percent",
        title="size of what was written, over the files' own",
        unit="%",
        targets=(Target(percent),),
        more_is_better=False,
    )


def _epoch(title: str, *targets: Target, panel: str) -> Measure:
    return Measure(figure="per_second", title=title, unit="samples/s", targets=targets, panel=panel)


LARGE = partial(data.files, mean_bytes=68_000), 20_000
SMALL = partial(data.files, mean_bytes=3_000), 50_000

WRITE_JOBS = (
    _write(
        "write-68k",
        "write",
        "write",
        LARGE,
        Measure(
            figure="megabytes_per_second",
            title="write 20,000 files of 68 KB, not waiting for the disk",
            unit="MB/s",
            targets=(Target(8, PEERS), Target(1.3, ("tar",))),
            panel="Write 68 KB files",
        ),
        _overhead(0.3),
    ),
    _write(
        "durable-68k",
        "durable",
        "write_durable",
        LARGE,
        Measure(
            figure="megabytes_per_second",
            title="write 20,000 files of 68 KB until they are on the disk",
            unit="MB/s",
            targets=(Target(3, PEERS), Target(0.95, ("tar",))),
            panel="Write 68 KB files until on the disk",
        ),
    ),
    _write(
        "write-3k",
        "small",
        "write",
        SMALL,
        Measure(
            figure="per_second",
            title="write 50,000 files of 3 KB, not waiting for the disk",
            unit="samples/s",
            targets=(Target(7, PEERS),),
            panel="Write 3 KB files",
        ),
        _overhead(6),
    ),
)

READ_TARGETS = Target(3, PEERS), Target(1, ("plain_files",))
PATH_TARGET = Target(1.5, PEERS)
READ_JOBS = (
    _read(
        "read-68k",
        "read",
        "read",
        LARGE,
        _epoch("read a shuffled epoch of 68 KB files, 2 workers", *READ_TARGETS, panel="Read 68 KB files"),
    ),
    _read(
        "read-3k",
        "read",
        "read",
        SMALL,
        _epoch("read a shuffled epoch of 3 KB files, 2 workers", *READ_TARGETS, panel="Read 3 KB files"),
    ),
    _read(
        "path-68k",
        "path",
        "read_path",
        LARGE,
        _epoch(
            "the epoch of 68 KB files through a path", PATH_TARGET, panel="Read 68 KB files through a path"
        ),
    ),
    _read(
        "path-3k",
        "path",
        "read_path",
        SMALL,
        _epoch("the epoch of 3 KB files through a path", PATH_TARGET, panel=""),
    ),
    Job(
        key="fetch-12k",
        group="fetch",
        work="fetch",
        make=partial(data.files, mean_bytes=12_000),
        samples=20_000,
        contenders=("mds", OURS),
        measures=(
            Measure(
                figure="microseconds",
                title="random batches of 64 samples of 12 KB, bytes read, one process, warm",
                unit="µs/sample",
                targets=(Target(5),),
                more_is_better=False,
            ),
        ),
        needs="write",
    ),
)

LABEL_JOBS = (
    Job(
        key="labels-write",
        group="labels",
        work="label_write",
        make=data.rows,
        samples=1_000_000,
        contenders=("mds", OURS),
        measures=(
            Measure(
                figure="per_second",
                title="write 1,000,000 label-only rows of 32 float32 and a class",
                unit="rows/s",
                targets=(Target(5, ("mds",)),),
            ),
        ),
    ),
    Job(
        key="labels-stack",
        group="labels",
        work="label_stack",
        make=data.rows,
        samples=1_000_000,
        contenders=(OURS,),
        measures=(
            Measure(
                figure="random_per_second",
                title="stack these rows in random batches of 1,024, one process",
                unit="rows/s",
                targets=(Target(10_000_000),),
            ),
            Measure(
                figure="sequential_per_second",
                title="the same in sequential batches",
                unit="rows/s",
                targets=(Target(10_000_000),),
            ),
        ),
        needs="label_write",
    ),
    Job(
        key="open-10m",
        group="open",
        work="first_batch",
        make=data.counter,
        samples=10_000_000,
        contenders=(OURS,),
        measures=(
            Measure(
                figure="seconds",
                title="open a dataset of 10,000,000 samples and give the first batch",
                unit="s",
                targets=(Target(1),),
                more_is_better=False,
            ),
            Measure(
                figure="megabytes",
                title="peak memory of that, over the imports'",
                unit="MB",
                targets=(Target(500),),
                more_is_better=False,
            ),
        ),
        needs="counter_write",
    ),
)

COMMAND_JOBS = (
    Job(
        key="command-help",
        group="command",
        work="help_time",
        make=make_nothing,
        samples=1,
        contenders=(OURS,),
        measures=(
            Measure(
                figure="milliseconds",
                title="`bench --help`, from start to end",
                unit="ms",
                targets=(Target(150),),
                more_is_better=False,
            ),
        ),
    ),
)

JOBS = WRITE_JOBS + READ_JOBS + LABEL_JOBS + COMMAND_JOBS
GROUPS = tuple(dict.fromkeys(job.group for job in JOBS))
