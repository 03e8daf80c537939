"""`bench runs list`."""

import click

from bench_cli.command import command
from bench_cli.options import project_option
from bench_cli.output import Column, Output
from bench_cli.run_texts import EXIT_CODES, NOW, code_text, state_text, took_text
from bench_cli.texts import time_text
from bench_cli.track_texts import number_text

COLUMNS = [
    Column("NAME", lambda run: run["name"]),
    Column("STATE", state_text),
    Column("MADE", lambda run: time_text(run["create_time"])),
    Column("TOOK", lambda run: took_text(run["attempts"][-1]), right=True),
    Column("BY", lambda run: run["creator"] or ""),
    Column("CODE", code_text),
    Column("TAGS", lambda run: ", ".join(run["tags"])),
    Column("ID", lambda run: run["run_id"]),
]


@command(
    "list",
    examples=[
        "bench runs list",
        "bench runs list --state running --tag baseline",
        "bench runs --sort train/loss",
    ],
    shows=True,
)
@click.option(
    "--state",
    "states",
    type=click.Choice([*NOW, *EXIT_CODES]),
    metavar="STATE",
    multiple=True,
    help=f"Only those in this state; may be given again: {', '.join([*NOW, *EXIT_CODES])}.",
)
@click.option(
    "--tag", "tags", metavar="TAG", multiple=True, help="Only those with this tag; may be given again."
)
@click.option(
    "--limit", metavar="N", type=click.IntRange(1), default=50, show_default=True, help="At most so many."
)
@click.option(
    "--sort", metavar="SERIES", help="By what was logged last under this name, the least first; shows it too."
)
@click.option("--reverse", is_flag=True, help="With --sort: the greatest first.")
@project_option
def list_(
    output: Output,
    states: tuple[str, ...],
    tags: tuple[str, ...],
    limit: int,
    sort: str | None,
    reverse: bool,
    project: str | None,
) -> None:
    """List the runs of a project.

    The newest comes first. With --sort, runs that logged nothing under that name come last.
    """
    if reverse and sort is None:
        raise click.UsageError("--reverse goes with --sort")
    from itertools import islice

    from bench_deploy import RunState

    from bench_cli.runs import run_document, runs_of, tracks_of

    found = runs_of(project).all([RunState[state.upper()] for state in states], tags)
    columns = COLUMNS
    if sort is not None:
        runs = list(found)
        values = tracks_of(project).last_values([run.run_id for run in runs], sort)
        documents = [run_document(run) | {"value": values.get(run.run_id)} for run in runs]
        documents = sorted(documents, key=lambda run: _sort_key(run["value"], reverse=reverse))[:limit]
        column = Column(sort, lambda run: number_text(run["value"]), right=True)
        columns = [COLUMNS[0], column, *COLUMNS[1:]]
    else:
        documents = [run_document(run) for run in islice(found, limit)]
    is_filtered = states or tags
    empty = "No run is like that." if is_filtered else "The project has no run yet. Make one: bench run"
    output.table(documents, columns, empty=empty)


def _sort_key(value: float | None, *, reverse: bool) -> tuple[bool, float]:
    """Those without a value come last."""
    return value is None, (-value if reverse else value) if value is not None else 0.0
