"""`bench server disk`."""

from dataclasses import asdict
from pathlib import Path

from bench_cli.command import command
from bench_cli.commands.server.folder import data_option
from bench_cli.output import Column, Output
from bench_cli.texts import size_text

COLUMNS = [
    Column("KIND", lambda part: part["kind"]),
    Column("PROJECT", lambda part: part["project"]),
    Column("SIZE", lambda part: size_text(part["bytes"]), right=True),
]


@command("disk", examples=["bench server disk", "bench server disk --json"], shows=True)
@data_option
def disk(output: Output, data: Path) -> None:
    """Show what the server's data takes, by kind and project.

    A blob that several projects have is on the disk once, and counted for each of them.
    """
    from bench_server import operations

    output.table([asdict(part) for part in operations.disk_usage(data)], COLUMNS, empty="")
