"""`bench runs artifacts`."""

from pathlib import Path

import click

from bench_cli.command import command
from bench_cli.options import optional_run_argument, project_option
from bench_cli.output import Column, Output
from bench_cli.texts import count_text, size_text, time_text

COLUMNS = [
    Column("PATH", lambda file: file["path"]),
    Column("SIZE", lambda file: size_text(file["size_bytes"]), right=True),
    Column("CHANGED", lambda file: time_text(file["modify_time"])),
]


@command(
    "artifacts",
    examples=[
        "bench runs artifacts",
        "bench runs artifacts wide --download results",
        'bench runs artifacts wide --only "output/*.pt" --download .',
    ],
    shows=True,
)
@optional_run_argument
@click.option("--only", metavar="PATTERN", multiple=True, help="Only such paths; may be given again.")
@click.option(
    "--download", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path), help="Fetch them."
)
@project_option
def artifacts(
    output: Output, run: str | None, only: tuple[str, ...], download: Path | None, project: str | None
) -> None:
    """List the files that a run left, or fetch them.

    RUN is its name, its id or the beginning of that; by default the latest run. Paths begin with output/
    ($BENCH_OUTPUT), work/ (beside the code) or checkpoints/ (that the server keeps of a run elsewhere). A
    download that broke off goes on from there.
    """
    from fnmatch import fnmatchcase

    from bench_cli.runs import artifact_document, find_run, runs_of

    runs = runs_of(project)
    found = find_run(runs, run)
    files = [
        file
        for file in runs.artifacts(found.run_id)
        if not only or any(fnmatchcase(file.path, pattern) for pattern in only)
    ]
    if download is None:
        output.table(
            [artifact_document(file) for file in files], COLUMNS, empty=f"{found.name} left no files."
        )
        return
    fetched = 0
    for file in files:
        with output.working(f"{file.path}, {size_text(file.size_bytes)}"):
            fetched += runs.download_artifact(found.run_id, file, download)
    size = sum(file.size_bytes for file in files)
    document = {
        "folder": str(download),
        "file_count": len(files),
        "fetched_count": fetched,
        "size_bytes": size,
    }
    text = (
        f"{count_text(len(files), 'file')}, {size_text(size)}, in {download}; {fetched:,} had to be fetched."
    )
    output.result(text, document, str(download))
