"""`bench server gc`."""

from dataclasses import asdict
from pathlib import Path

import click

from bench_cli.command import command
from bench_cli.commands.server.folder import data_option
from bench_cli.output import Output


@command("gc", examples=["bench server gc", "bench server gc --delete"], shows=True)
@click.option("--delete", is_flag=True, help="Remove it.")
@data_option
def gc(output: Output, delete: bool, data: Path) -> None:
    """Find what no dataset and no run needs, and remove it.

    No blob younger than a day is touched: it may belong to an upload that is under way. A project's caches
    keep 20 GB.
    """
    from bench_server import operations

    from bench_cli.texts import count_text, size_text

    with output.working("Looking"):
        found = operations.collect_garbage(data, remove=delete)
    blobs, parts = count_text(found.blobs, "blob"), count_text(found.parts, "unfinished upload")
    folders, cached = count_text(found.folders, "folder"), count_text(found.cached, "cached file")
    what = f"{blobs}, {parts}, {folders} of deleted runs and {cached}, {size_text(found.bytes)}"
    text = f"Removed {what}." if delete else f"{what} that nothing needs."
    output.result(text, {**asdict(found), "deleted": delete})
    if not delete and (found.blobs or found.parts or found.folders or found.cached):
        output.note("Remove them: bench server gc --delete")
