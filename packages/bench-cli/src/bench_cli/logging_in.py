"""The conversation of a login: who asks for one, gets it here."""

import os
import sys
from typing import TYPE_CHECKING

from bench_cli.errors import CliError
from bench_cli.output import Output
from bench_cli.prompts import ask, ask_new_password, ask_secret, can_ask, confirm

if TYPE_CHECKING:
    from bench_auth import User


def log_in(
    output: Output,
    url: str,
    username: str | None = None,
    *,
    invitation: bool = False,
    fingerprint: str | None = None,
) -> "User":
    """Ask for what a login needs, and log in.

    Args:
        output: For what is said on the way.
        url: The server.
        username: The account; asked for unless given.
        invitation: Make an account by an invitation, which is asked for.
        fingerprint: Of the server's certificate; what nobody vouches for is asked for unless given.

    Raises:
        CliError: There is nobody to ask.
        AuthError: The server refuses, or cannot be reached.
    """
    import bench_auth

    _refuse_beside_variable()
    trust = _confirmed(output, url, fingerprint)
    is_new = bench_auth.server_info(url, trust=trust).can_create_owner
    if not can_ask():
        raise CliError(
            "there is no terminal to ask for the password at",
            hint="Pipe a token into `bench login --with-token`, or set BENCH_TOKEN.",
        )
    if invitation:
        secret = ask("Invitation")
        username = username or ask("Username")
        return bench_auth.accept_invitation(url, secret, username, ask_new_password(), trust=trust)
    if is_new:
        output.note(f"The server at {url} has no account yet. Yours will own it.")
        username = username or ask("Username")
        return bench_auth.create_owner(url, username, ask_new_password(), trust=trust)
    username = username or ask("Username")
    return bench_auth.login(url, username, ask_secret("Password"), trust=trust)


def log_in_with_token(output: Output, url: str, fingerprint: str | None = None) -> "User":
    """Take a token from standard input, and keep it. Arguments as for `log_in`.

    Raises:
        CliError: There is none.
        AuthError: The server does not take it, or cannot be reached.
    """
    import bench_auth

    _refuse_beside_variable()
    trust = _confirmed(output, url, fingerprint)
    token = ask_secret("Token") if can_ask() else sys.stdin.readline()
    if not token.strip():
        raise CliError("standard input has no token", hint="Pipe one in: bench login --with-token < FILE")
    return bench_auth.login_with_token(url, token.strip(), trust=trust)


def need_login(output: Output, url: str) -> None:
    """Return when somebody is logged in: on a terminal, who is not is asked to.

    Raises:
        NotLoggedInError: Nobody is, and there is nobody to ask.
    """
    import bench_auth

    try:
        bench_auth.current_user(url)
    except bench_auth.NotLoggedInError as error:
        if not can_ask():
            raise
        output.note(f"A login is needed: {error.message}.")
        user = log_in(output, url)
        output.note(f"Logged in as {user.username} at {user.endpoint}.")


def _refuse_beside_variable() -> None:
    """Ask nothing where the answer would not count.

    Raises:
        CliError: The environment has a token, which rules.
    """
    from bench_auth.settings import TOKEN_VARIABLE

    if TOKEN_VARIABLE in os.environ:
        raise CliError(
            f"{TOKEN_VARIABLE} is set and would win over this login", hint=f"Unset {TOKEN_VARIABLE} first."
        )


def _confirmed(output: Output, url: str, given: str | None) -> str | None:
    """The fingerprint to trust; None where somebody vouches for the server, or it was trusted before.

    Raises:
        UntrustedServerError: Nobody does, and there is nobody to ask.
        DeclinedError: It is another one than the server printed.
    """
    import bench_auth

    if given is not None:
        return given
    try:
        bench_auth.server_info(url)
    except bench_auth.UntrustedServerError as error:
        if not can_ask():
            error.hint = "If it is what the server printed at its start, add: --fingerprint FINGERPRINT"
            raise
        output.note(f"Nobody vouches for {url}. Its fingerprint is:\n{error.fingerprint}")
        confirm("Is that what the server printed at its start?", yes=False)
        return error.fingerprint
    return None
