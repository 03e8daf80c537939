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
    keep 20 GB. Of images those leave that were not used for 30 days, and the longest unused ones above 50 GB;
    one that an unfinished run has stays. What runs have left stays as long as they do.
    """
    from bench_server import operations

    from bench_cli.texts import count_text, size_text

    with output.working("Looking"):
        found = operations.collect_garbage(data, remove=delete)
    blobs, parts = count_text(found.blobs, "blob"), count_text(found.parts, "unfinished upload")
    folders, cached = count_text(found.folders, "folder"), count_text(found.cached, "cached file")
    images = f"{count_text(found.images, 'layer')} of images"
    what = f"{blobs}, {parts}, {folders} of deleted runs, {cached} and {images}, {size_text(found.bytes)}"
    text = f"Removed {what}." if delete else f"{what} that nothing needs."
    output.result(text, {**asdict(found), "deleted": delete})
    if found.problem:
        output.note(f"Images: {found.problem}.")
    if not delete and any((found.blobs, found.parts, found.folders, found.cached, found.images)):
        output.note("Remove them: bench server gc --delete")
