"""`bench checkpoints`."""

from bench_cli.command import command
from bench_cli.options import optional_run_argument, project_option
from bench_cli.output import Column, Output
from bench_cli.texts import size_text, time_text
from bench_cli.track_texts import number_text

COLUMNS = [
    Column("NAME", lambda checkpoint: checkpoint["name"]),
    Column("STEP", lambda checkpoint: f"{checkpoint['step']:,}", right=True),
    Column("METRIC", lambda checkpoint: number_text(checkpoint["metric"]), right=True),
    Column("BEST", lambda checkpoint: "yes" if checkpoint["is_best"] else ""),
    Column("SIZE", lambda checkpoint: size_text(checkpoint["size_bytes"]), right=True),
    Column("MADE", lambda checkpoint: time_text(checkpoint["create_time"])),
    Column("ATTEMPT", lambda checkpoint: str(checkpoint["attempt_number"]), right=True),
]


@command(
    "checkpoints",
    examples=["bench checkpoints", "bench checkpoints wide --json"],
    shows=True,
)
@optional_run_argument
@project_option
def checkpoints(output: Output, run: str | None, project: str | None) -> None:
    """List the checkpoints that a run has made.

    RUN is its name, its id or the beginning of that; by default the latest run. Those that it removed itself
    are not listed.
    """
    from bench_cli.runs import checkpoint_document, find_run, runs_of, tracks_of

    found = find_run(runs_of(project), run)
    documents = [checkpoint_document(one) for one in tracks_of(project).checkpoints(found.run_id)]
    output.table(documents, COLUMNS, empty=f"{found.name} has made no checkpoint.")
