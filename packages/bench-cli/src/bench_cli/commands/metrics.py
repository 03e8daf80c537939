"""`bench metrics`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench_cli.command import command
from bench_cli.options import optional_run_argument, project_option
from bench_cli.output import Column, Mode, Output
from bench_cli.texts import count_text, size_text, time_text
from bench_cli.track_texts import number_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench_deploy import Points, ProjectTracks, Run

COLUMNS = [
    Column("NAME", lambda series: series["name"]),
    Column("LAST", lambda series: number_text(series["last"]), right=True),
    Column("STEP", lambda series: f"{series['last_step']:,}", right=True),
    Column("MIN", lambda series: number_text(series["min"]), right=True),
    Column("MAX", lambda series: number_text(series["max"]), right=True),
    Column("POINTS", lambda series: f"{series['point_count']:,}", right=True),
    Column("WHEN", lambda series: time_text(series["last_time"])),
]


@command(
    "metrics",
    examples=[
        "bench metrics",
        "bench metrics wide --series train/loss --series train/acc",
        "bench metrics wide --csv > wide.csv",
        "bench metrics wide --parquet wide.parquet",
    ],
    shows=True,
)
@optional_run_argument
@click.option("--series", metavar="NAME", multiple=True, help="Only this series; may be given again.")
@click.option("--csv", "as_csv", is_flag=True, help="All points, as CSV.")
@click.option(
    "--parquet",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="All points, to a Parquet file.",
)
@project_option
def metrics(
    output: Output,
    run: str | None,
    series: tuple[str, ...],
    as_csv: bool,
    parquet: Path | None,
    project: str | None,
) -> None:
    """Show what a run has logged.

    RUN is its name, its id or the beginning of that; by default the latest run. As CSV every point is a line:
    series, attempt, rank, step, time in seconds since 1970, value. A Parquet file has the same columns, the
    time as a timestamp; it appears whole or not at all, and needs pyarrow.
    """
    if as_csv and parquet is not None:
        raise click.UsageError("--csv and --parquet exclude each other")
    if as_csv and output.mode is Mode.JSON:
        raise click.UsageError("--csv and --json exclude each other")
    from bench_cli.runs import find_run, runs_of, series_document, tracks_of

    found = find_run(runs_of(project), run)
    tracks = tracks_of(project)
    if as_csv:
        _write_csv(tracks.points(found.run_id, series))
        return
    if parquet is not None:
        _write_parquet(output, tracks, found, series, parquet)
        return
    documents = [series_document(one) for one in tracks.series(found.run_id)]
    shown = [document for document in documents if not series or document["name"] in series]
    output.table(shown, COLUMNS, empty=f"{found.name} has logged nothing like that.")


def _write_csv(parts: "Iterable[Points]") -> None:
    import csv
    import sys

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["series", "attempt", "rank", "step", "time", "value"])
    for part in parts:
        for step, time_ns, value in zip(part.steps, part.times_ns, part.values, strict=True):
            seconds, rest = divmod(time_ns, 10**9)
            writer.writerow([part.name, part.attempt_number, part.rank, step, f"{seconds}.{rest:09}", value])


def _write_parquet(
    output: Output, tracks: "ProjectTracks", run: "Run", series: tuple[str, ...], path: Path
) -> None:
    from bench_cli.parquet_file import write_parquet

    with output.working(f"the points of {run.name}"):
        count = write_parquet(path, tracks.points(run.run_id, series))
    size = path.stat().st_size
    document = {"file": str(path), "point_count": count, "size_bytes": size}
    output.result(f"{count_text(count, 'point')}, {size_text(size)}, in {path}.", document, str(path))
