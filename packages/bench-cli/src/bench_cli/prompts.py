"""Questions to the user: on a terminal only."""

import sys
from collections.abc import Callable

import click

from bench_cli.errors import CliError, DeclinedError


def can_ask() -> bool:
    """Whether somebody sits there."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(text: str) -> str:
    """Ask for a line."""
    answer: str = click.prompt(text, err=True)
    return answer.strip()


def ask_secret(text: str) -> str:
    """Ask for a secret, which is not shown."""
    answer: str = click.prompt(text, err=True, hide_input=True)
    return answer


def ask_new_password() -> str:
    """Ask for a new password, twice.

    Raises:
        CliError: The two differ.
    """
    password = ask_secret("Password")
    if ask_secret("The same again") != password:
        raise CliError("the two passwords differ")
    return password


def confirm(question: str, *, yes: bool) -> None:
    """Return if the user agrees to what cannot be undone.

    Args:
        question: It.
        yes: Whether `--yes` was given, which agrees.

    Raises:
        DeclinedError: The user does not.
        CliError: There is nobody to ask.
    """
    if yes:
        return
    if not can_ask():
        raise CliError(
            f"there is no terminal to ask at: {question}", hint="With --yes it is done without asking."
        )
    if not click.confirm(question, err=True):
        raise DeclinedError("nothing was done, as you said no")


def agrees(*, yes: bool) -> Callable[[str], bool] | None:
    """What asks the user for a yes or a no; None where there is nobody to ask.

    Args:
        yes: Whether `--yes` was given, which agrees to all.
    """
    if yes:
        return lambda _: True
    return (lambda question: click.confirm(question, err=True)) if can_ask() else None
