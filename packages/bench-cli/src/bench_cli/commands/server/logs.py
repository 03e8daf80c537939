"""`bench server logs`."""

import sys
import time
from collections import deque
from pathlib import Path

import click

from bench_cli.command import command
from bench_cli.commands.server.folder import data_option
from bench_cli.errors import CliError
from bench_cli.output import Output

LOOK_SECONDS = 0.2


@command("logs", examples=["bench server logs", "bench server logs --follow", "bench server logs --tail 20"])
@data_option
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--tail", metavar="N", type=click.IntRange(0), help="Only the last N lines.")
def logs(output: Output, data: Path, follow: bool, tail: int | None) -> None:
    """Show what the server says.

    A server in the foreground says it where it was started.
    """
    from bench_server.data_folder import open_folder

    log = open_folder(data).log
    try:
        file = log.open(errors="replace")
    except FileNotFoundError:
        raise CliError(
            f"no server has run in the background with {data}", hint="Start it: bench server start"
        ) from None
    with file:
        sys.stdout.writelines(file if tail is None else deque(file, maxlen=tail))
        while follow:
            sys.stdout.flush()
            time.sleep(LOOK_SECONDS)
            if log.stat().st_size < file.tell():
                file.seek(0)  # it began anew
            sys.stdout.write(file.read())
