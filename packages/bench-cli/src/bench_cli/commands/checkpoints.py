"""`bench checkpoints`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench_cli.command import command
from bench_cli.options import optional_run_argument, project_option
from bench_cli.output import Column, Output
from bench_cli.texts import count_text, size_text, time_text
from bench_cli.track_texts import number_text

if TYPE_CHECKING:
    from bench_deploy import Checkpoint, ProjectTracks, Run

PLACES = {"server": "on the server", "elsewhere": "where it was made", "gone": "gone", "unknown": ""}

COLUMNS = [
    Column("NAME", lambda checkpoint: checkpoint["name"]),
    Column("STEP", lambda checkpoint: f"{checkpoint['step']:,}", right=True),
    Column("METRIC", lambda checkpoint: number_text(checkpoint["metric"]), right=True),
    Column("BEST", lambda checkpoint: "yes" if checkpoint["is_best"] else ""),
    Column("SIZE", lambda checkpoint: size_text(checkpoint["size_bytes"]), right=True),
    Column("MADE", lambda checkpoint: time_text(checkpoint["write_time"])),
    Column("ATTEMPT", lambda checkpoint: str(checkpoint["attempt_number"]), right=True),
    Column("FILES", lambda checkpoint: PLACES[checkpoint["place"]]),
]


@command(
    "checkpoints",
    examples=[
        "bench checkpoints",
        "bench checkpoints wide --json",
        "bench checkpoints wide --download best --to best-of-wide",
    ],
    shows=True,
)
@optional_run_argument
@click.option("--download", metavar="NAME", help="Fetch this one; `newest` and `best` are names too.")
@click.option(
    "--to", metavar="FOLDER", type=click.Path(path_type=Path), help="What it becomes here; else its name."
)
@project_option
def checkpoints(
    output: Output, run: str | None, download: str | None, to: Path | None, project: str | None
) -> None:
    """List the checkpoints that a run has made, or fetch one.

    RUN is its name, its id or the beginning of that; by default the latest run. Those that it removed itself
    are not listed. One that is fetched appears here whole, its digests compared, or not at all.
    """
    from bench_cli.runs import checkpoint_document, find_run, runs_of, tracks_of

    if to is not None and download is None:
        raise click.UsageError("--to goes with --download")
    found = find_run(runs_of(project), run)
    tracks = tracks_of(project)
    listed = list(tracks.checkpoints(found.run_id))
    if download is not None:
        _fetch(output, tracks, found, listed, download, to)
        return
    documents = [checkpoint_document(one) for one in listed]
    output.table(documents, COLUMNS, empty=f"{found.name} has made no checkpoint.")


def _fetch(
    output: Output,
    tracks: "ProjectTracks",
    run: "Run",
    listed: "list[Checkpoint]",
    name: str,
    to: Path | None,
) -> None:
    from bench_deploy import choose_checkpoint

    chosen = choose_checkpoint(listed, name)
    newer = [one.name for one in listed if one.write_time > chosen.write_time]
    if name == "newest" and newer:
        output.warn(f"{newer[-1]} is newer, and is not on the server")
    target = to or Path(chosen.name)
    with output.working(f"{chosen.name}, {size_text(chosen.size_bytes)}"):
        count = tracks.download_checkpoint(run.run_id, chosen, target)
    document = {
        "name": chosen.name,
        "step": chosen.step,
        "folder": str(target),
        "file_count": count,
        "size_bytes": chosen.size_bytes,
    }
    text = f"{chosen.name}, {count_text(count, 'file')}, {size_text(chosen.size_bytes)}, in {target}."
    output.result(text, document, str(target))
