"""`bench logs`."""

from typing import TYPE_CHECKING

import click

from bench_cli.command import command
from bench_cli.options import follow_option, optional_run_argument, project_option
from bench_cli.output import Output

if TYPE_CHECKING:
    from bench_deploy import LogSlice, ProjectRuns

FIRST_LOOK_BYTES = 1 << 16
"""So much of a log's end is looked at for its last lines; four times as much if that has too few."""


@command(
    "logs",
    examples=[
        "bench logs",
        "bench logs wide --follow",
        "bench logs wide --tail 20",
        "bench logs wide --build",
        "bench runs logs wide --attempt 1 --since 4096",
    ],
)
@optional_run_argument
@follow_option
@click.option("--since", metavar="BYTE", type=click.IntRange(0), help="From that byte of the log on.")
@click.option("--tail", metavar="N", type=click.IntRange(0), help="Only the last N lines.")
@click.option("--attempt", metavar="N", type=click.IntRange(1), help="Of attempt N; by default the last one.")
@click.option("--build", is_flag=True, help="What making its image said.")
@project_option
def logs(
    output: Output,
    run: str | None,
    follow: bool,
    since: int | None,
    tail: int | None,
    attempt: int | None,
    build: bool,
    project: str | None,
) -> int:
    """Show what a run says.

    RUN is its name, its id or the beginning of that; by default the latest run. With --follow the exit code
    is the run's: 0, 100 if it failed, 103 if it was stopped. Ctrl-C leaves it running.
    """
    if since is not None and tail is not None:
        raise click.UsageError("--since and --tail exclude each other")
    if follow and (attempt or build):
        raise click.UsageError("--follow goes with neither --attempt nor --build")
    from bench_deploy import LogSlice, LogSource

    from bench_cli.following import Following, copy_log
    from bench_cli.log_output import log_output
    from bench_cli.runs import find_run, runs_of

    runs = runs_of(project)
    found = find_run(runs, run)
    source = LogSource.BUILD if build else LogSource.OUTPUT
    number = attempt or found.last_attempt.attempt_number
    part = LogSlice(attempt_number=number, source=source, start_offset=since or 0)
    if tail is not None:
        part = _last_lines(runs, found.run_id, part, tail)
    if follow:
        return Following(output, runs, found).to_the_end(part.start_offset)
    if found.last_attempt.engine == "external":
        output.note(f"{found.name} was started elsewhere, and what it writes stays there.")
    copy_log(runs, found.run_id, part, log_output(), output)
    return 0


def _last_lines(runs: "ProjectRuns", run_id: str, part: "LogSlice", count: int) -> "LogSlice":
    """From where the last lines begin."""
    from dataclasses import replace

    from bench_cli.log_output import start_of_last_lines

    look = FIRST_LOOK_BYTES
    while True:
        pieces = list(runs.read_log(run_id, replace(part, start_offset=-look)))
        if not pieces:
            return part
        first, data = pieces[0][0], b"".join(piece for _, piece in pieces)
        start = start_of_last_lines(data, count)
        if start is not None:
            return replace(part, start_offset=first + start)
        if first == 0:
            return part
        look *= 4
