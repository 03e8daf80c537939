"""The entry point of `bench`: the one place where errors end."""

import os
import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

import click

from bench_cli.errors import report

HELP_COLUMNS = 80
"""Longer lines are hard to read."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `bench` and return its exit code.

    Args:
        arguments: Those of the command line unless given.
    """
    from bench_cli.app import bench

    return run(bench, "bench", arguments)


def run(command: click.Command, name: str, arguments: Sequence[str] | None) -> int:
    """Run a command, and make of every error its lines and its exit code."""
    for stream in (sys.stdout, sys.stderr):
        _show_everything(stream)
    given = None if arguments is None else list(arguments)
    width = min(shutil.get_terminal_size().columns, HELP_COLUMNS)  # click's own choice is never below 50
    try:
        try:
            code = command.main(given, prog_name=name, standalone_mode=False, terminal_width=width)
        except click.exceptions.NoArgsIsHelpError as error:
            code = print(error.format_message())
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # who read it, `head`, has enough
        return 1
    except (Exception, KeyboardInterrupt) as error:
        return report(error, name)
    return code if isinstance(code, int) else 0


def _show_everything(stream: TextIO) -> None:
    """A name that the terminal cannot show becomes an escape, and not an error."""
    if reconfigure := getattr(stream, "reconfigure", None):
        reconfigure(errors="backslashreplace")
