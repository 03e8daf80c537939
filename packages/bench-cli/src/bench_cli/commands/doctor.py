"""`bench doctor`."""

from dataclasses import asdict

import click

from bench_cli.command import command
from bench_cli.options import endpoint_option
from bench_cli.output import Mode, Output


@command("doctor", examples=["bench doctor", "bench doctor --json"], shows=True)
@endpoint_option
@click.pass_context
def doctor(context: click.Context, output: Output, endpoint: str | None) -> None:
    """Look for what is wrong on this machine.

    One line for each part: the project's Python and torch, Docker, the GPU, the disk, the server, its clock
    and release, and the login. The exit code is 1 if one fails; a warning is no failure.
    """
    from bench_cli.diagnosis import FAIL, OK, diagnose

    found = []
    for check in diagnose(endpoint):
        found.append(check)
        if output.mode is Mode.HUMAN:
            advice = f" -> {check.advice}" if check.advice else ""
            output.result(f"{check.state:<4}  {check.name:<8}  {check.text}{advice}")
        elif output.mode is Mode.QUIET and check.state != OK:
            output.result("", name=check.name)
    if output.mode is Mode.JSON:
        output.result(
            "", {"ok": all(check.state != FAIL for check in found), "checks": [*map(asdict, found)]}
        )
    if any(check.state == FAIL for check in found):
        context.exit(1)
