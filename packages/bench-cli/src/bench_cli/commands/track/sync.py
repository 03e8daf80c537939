"""`bench track sync`."""

from pathlib import Path

import click

from bench_cli.command import command
from bench_cli.options import project_option
from bench_cli.output import Output
from bench_cli.texts import count_text


@command(
    "sync",
    examples=[
        "bench track sync",
        "bench track sync ~/.local/share/bench/track/0198c0de",
        "bench track sync -q",
    ],
)
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@project_option
def sync(output: Output, folder: Path | None, project: str | None) -> int:
    """Send runs that were started elsewhere to the server.

    FOLDER is that of one run; by default all that bench_track has on this machine. What the server has is not
    sent again. A run that was made without a project goes to this folder's.
    """
    from bench_cli.track_folders import run_folders, send

    folders = [folder] if folder is not None else run_folders()
    failed = 0
    for found in folders:
        with output.working(found.name):
            problem = send(found, project)
        if problem:
            failed += 1
            output.warn(f"{found}: {problem}")
    sent = len(folders) - failed
    output.result(f"The server has {count_text(sent, 'run')} of {len(folders):,}.")
    return 1 if failed else 0
