"""`bench server check`."""

from pathlib import Path

import click

from bench_cli.command import command
from bench_cli.commands.server.folder import data_option
from bench_cli.output import Output


@command("check", examples=["bench server check", "bench server check --digests"], shows=True)
@click.option("--digests", is_flag=True, help="Read every blob and compare its digest.")
@data_option
def check(output: Output, digests: bool, data: Path) -> None:
    """Look for damage in the server's data.

    The exit code is 1 if there is any.
    """
    from bench_server import operations

    with output.working("Checking"):
        problems = operations.check(data, digests=digests)
    output.result("\n".join(problems) or "No problems.", {"ok": not problems, "problems": problems})
    if problems:
        raise operations.damaged(problems)
