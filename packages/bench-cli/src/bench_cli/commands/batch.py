"""`bench batch`."""

from pathlib import Path

import click

from bench_cli.command import command
from bench_cli.options import project_option, run_argument
from bench_cli.output import Output
from bench_cli.texts import count_text


@command(
    "batch",
    examples=["bench batch wide --step 1200", "bench batch wide --step 1200 --to spike --rank 3"],
    shows=True,
)
@run_argument
@click.option("--step", metavar="N", type=click.IntRange(0), required=True, help="As the training logged it.")
@click.option("--rank", metavar="N", type=click.IntRange(0), default=0, help="Of the process; 0 by default.")
@click.option("--attempt", metavar="N", type=click.IntRange(1), help="By default the last one.")
@click.option(
    "--to",
    "folder",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to; by default RUN-step-N.",
)
@project_option
def batch(
    output: Output,
    run: str,
    step: int,
    rank: int,
    attempt: int | None,
    folder: Path | None,
    project: str | None,
) -> None:
    """Write the samples that a run had at a step to a folder.

    RUN is its name, its id or the beginning of that. The files of the samples lie beside labels.json, which
    says which sample and label each belongs to. Known where a training logs while it goes through a
    bench_data loader, and the project has the dataset.
    """
    from bench_cli.batches import fetch_batch
    from bench_cli.runs import find_run, runs_of, tracks_of

    found = find_run(runs_of(project), run)
    place = tracks_of(project).batch(found.run_id, step, rank=rank, attempt_number=attempt or 0)
    into = folder or Path(f"{found.name}-step-{step}")
    with output.working(f"the batch of step {step:,}"):
        document = fetch_batch(place, into, project, {"run": found.name, "rank": rank, "step": step})
    where = f"epoch {place.epoch}, batch {place.batch} of {document['dataset']}"
    text = f"{count_text(len(document['samples']), 'sample')} in {into}: {where}."
    output.result(text, {"folder": str(into), **document}, str(into))
