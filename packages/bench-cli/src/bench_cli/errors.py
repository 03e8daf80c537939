"""What bench-cli raises, and what every error becomes: its lines and the exit code. One table.

BenchError
  +-- CliError
        +-- DeclinedError     the user said no
        +-- MissingError      a package that the command needs is not installed
"""

import os
import sys
import traceback
from collections.abc import Iterator

import click
from bench_core import BenchError

from bench_cli.packages import how_to_install
from bench_cli.settings import DEBUG_VARIABLE

EXIT_CODES = {
    "click.exceptions.UsageError": 2,
    "click.exceptions.Abort": 130,
    "builtins.KeyboardInterrupt": 130,
    "bench_auth.errors.NotLoggedInError": 4,
}
"""By the names of classes, so that none is imported for it; everything else is 1."""


class CliError(BenchError):
    """The command cannot be done."""


class DeclinedError(CliError):
    """The user said no."""


class MissingError(CliError):
    """A package that the command needs is not installed."""


def report(error: BaseException, program: str) -> int:
    """Print what happened and what to do, and return the exit code.

    Args:
        error: What ended the command.
        program: The command's first word.
    """
    if os.environ.get(DEBUG_VARIABLE) and not isinstance(error, click.UsageError):
        traceback.print_exception(error)
    for line in _lines(error, program):
        print(line, file=sys.stderr)
    names = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]
    return next((EXIT_CODES[name] for name in names if name in EXIT_CODES), 1)


def _lines(error: BaseException, program: str) -> Iterator[str]:
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        yield ""  # what was being typed ends here
        return
    yield from getattr(error, "log_tail", [])
    message, hint = _message_and_hint(error, program)
    yield f"Error: {message}"
    if hint:
        yield f"Hint: {hint}"


def _message_and_hint(error: BaseException, program: str) -> tuple[str, str | None]:
    if isinstance(error, BenchError):
        return error.message, error.hint
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else program
        return _plain(error.format_message()), f"See: {path} --help"
    if isinstance(error, click.ClickException):
        return _plain(error.format_message()), None
    if isinstance(error, ModuleNotFoundError) and (hint := how_to_install(error.name or "")):
        return f"{(error.name or '').partition('.')[0].replace('_', '-')} is not installed", hint
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror, None
    return (
        f"something unforeseen happened ({type(error).__name__}: {error})",
        f"With {DEBUG_VARIABLE}=1 it shows where; please tell us.",
    )


def _plain(message: str) -> str:
    """A message of click as ours are written."""
    message = " ".join(message.split()).removesuffix(".")
    return message[:1].lower() + message[1:]
