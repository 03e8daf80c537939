"""`bench server backup`."""

from pathlib import Path

import click

from bench_cli.command import command
from bench_cli.commands.server.folder import data_option
from bench_cli.output import Output


@command("backup", examples=["bench server backup /mnt/backup/bench"])
@click.argument("target", type=click.Path(path_type=Path, file_okay=False))
@data_option
def backup(output: Output, target: Path, data: Path) -> None:
    """Copy the server's data into a folder.

    The server may run. Given the same folder again, only what is new is copied.
    """
    from bench_server import operations

    from bench_cli.texts import count_text

    with output.working("Copying"):
        copied = operations.back_up(data, target)
    output.result(
        f"Copied the database and {count_text(copied, 'new blob')} into {target}.", name=str(target)
    )
