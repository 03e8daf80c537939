"""`bench login`."""

import os
import sys
from typing import TYPE_CHECKING

import click

from bench_cli.command import command
from bench_cli.errors import CliError
from bench_cli.options import endpoint_option
from bench_cli.output import Output

if TYPE_CHECKING:
    from bench_auth import User


@command(
    "login",
    examples=[
        "bench login",
        "bench login --endpoint https://bench.example.org:8470",
        "bench login --with-token < token.txt",
    ],
)
@endpoint_option
@click.option("--username", metavar="NAME", help="The account; asked for unless given.")
@click.option("--with-token", is_flag=True, help="Read a token from standard input instead of a password.")
@click.option("--invitation", is_flag=True, help="Make an account by an invitation, which is asked for.")
def login(
    output: Output, endpoint: str | None, username: str | None, with_token: bool, invitation: bool
) -> None:
    """Log in to a server.

    At a server on this machine that has no account yet, this makes the first one, which owns it.
    """
    from bench_auth.settings import TOKEN_VARIABLE

    from bench_cli import sources

    if with_token and (invitation or username):
        raise click.UsageError("--with-token goes with neither --invitation nor --username")
    if TOKEN_VARIABLE in os.environ:
        raise CliError(
            f"{TOKEN_VARIABLE} is set and would win over this login", hint=f"Unset {TOKEN_VARIABLE} first."
        )
    url = sources.endpoint(endpoint).value
    assert url is not None
    user = _with_token(url) if with_token else _with_password(output, url, username, invitation)
    output.result(f"Logged in as {user.username} at {user.endpoint}.", name=user.username)


def _with_token(url: str) -> "User":
    from bench_auth import login_with_token

    from bench_cli.prompts import ask_secret, can_ask

    token = ask_secret("Token") if can_ask() else sys.stdin.readline()
    if not token.strip():
        raise CliError("standard input has no token", hint="Pipe one in: bench login --with-token < FILE")
    return login_with_token(url, token.strip())


def _with_password(output: Output, url: str, username: str | None, invitation: bool) -> "User":
    import bench_auth

    from bench_cli.prompts import ask, ask_new_password, ask_secret, can_ask

    is_new = bench_auth.server_info(url).can_create_owner
    if not can_ask():
        raise CliError(
            "there is no terminal to ask for the password at",
            hint="Pipe a token into `bench login --with-token`, or set BENCH_TOKEN.",
        )
    if invitation:
        secret = ask("Invitation")
        username = username or ask("Username")
        return bench_auth.accept_invitation(url, secret, username, ask_new_password())
    if is_new:
        output.note(f"The server at {url} has no account yet. Yours will own it.")
        username = username or ask("Username")
        return bench_auth.create_owner(url, username, ask_new_password())
    username = username or ask("Username")
    return bench_auth.login(url, username, ask_secret("Password"))
