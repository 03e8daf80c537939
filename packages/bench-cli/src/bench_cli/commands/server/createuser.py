"""`bench server createuser`."""

import sys
from pathlib import Path

import click

from bench_cli.command import command
from bench_cli.commands.server.folder import data_option
from bench_cli.errors import CliError
from bench_cli.output import Output


@command(
    "createuser",
    examples=[
        "bench server createuser ada --owner",
        "bench server createuser bob --password-stdin < password",
    ],
)
@click.argument("username")
@click.option("--owner", is_flag=True, help="The server's owner: the first account.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@data_option
def createuser(output: Output, username: str, owner: bool, password_stdin: bool, data: Path) -> None:
    """Make an account.

    The server need not run. Who may choose a password themselves gets an invitation: `bench server invite`.
    """
    from bench_server import operations

    from bench_cli.prompts import ask_new_password, can_ask

    if not password_stdin and not can_ask():
        raise CliError("there is no terminal to ask for a password at", hint="Pipe it in: --password-stdin")
    password = sys.stdin.readline().rstrip("\n") if password_stdin else ask_new_password()
    name = operations.create_user(data, username, password, owner=owner)
    output.result(f"Made the account {name}.", name=name)
