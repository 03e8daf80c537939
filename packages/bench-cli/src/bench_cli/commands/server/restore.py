"""`bench server restore`."""

from pathlib import Path

import click

from bench_cli.command import command
from bench_cli.commands.server.folder import data_option
from bench_cli.output import Output


@command("restore", examples=["bench server restore /mnt/backup/bench --data /srv/bench"])
@click.argument("source", type=click.Path(path_type=Path, file_okay=False))
@data_option
def restore(output: Output, source: Path, data: Path) -> None:
    """Make a server's folder from a backup.

    The folder must be empty, or not be there yet.
    """
    from bench_server import operations

    with output.working("Copying"):
        operations.restore(source, data)
    output.result(f"Restored {data}.", name=str(data))
    output.note(f"Look it over: bench server check --digests --data {data}")
