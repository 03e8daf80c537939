"""`bench login`."""

import click

from bench_cli.command import command
from bench_cli.options import endpoint_option
from bench_cli.output import Output


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
@click.option(
    "--fingerprint", metavar="SHA256", help="Of the server's certificate, as it prints it at its start."
)
def login(
    output: Output,
    endpoint: str | None,
    username: str | None,
    with_token: bool,
    invitation: bool,
    fingerprint: str | None,
) -> None:
    """Log in to a server.

    At a server on this machine that has no account yet, this makes the first one, which owns it.
    """
    from bench_cli import logging_in, sources

    if with_token and (invitation or username):
        raise click.UsageError("--with-token goes with neither --invitation nor --username")
    url = sources.endpoint(endpoint).value
    if with_token:
        user = logging_in.log_in_with_token(output, url, fingerprint)
    else:
        user = logging_in.log_in(output, url, username, invitation=invitation, fingerprint=fingerprint)
    output.result(f"Logged in as {user.username} at {user.endpoint}.", name=user.username)
