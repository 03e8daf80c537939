"""`bench server invite`."""

from pathlib import Path

from bench_cli.command import command
from bench_cli.commands.server.folder import data_option
from bench_cli.output import Output


@command("invite", examples=["bench server invite"], shows=True)
@data_option
def invite(output: Output, data: Path) -> None:
    """Make an invitation for one person.

    It is shown once, and makes one account: `bench login --invitation`.
    """
    import datetime

    from bench_server import operations

    from bench_cli.texts import time_text

    made = operations.invite(data)
    until = made.expire_time.astimezone(datetime.timezone.utc).isoformat(timespec="seconds")
    output.result(made.secret, {"invitation": made.secret, "expire_time": until}, made.secret)
    output.note(f"For one account, until {time_text(until)}: bench login --invitation")
