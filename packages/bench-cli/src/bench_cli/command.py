"""How a command is declared: with examples, and with the options that say how its output looks."""

from collections.abc import Callable, Sequence
from typing import Any

import click

from bench_cli.output import Mode, Output

_MODE = "bench_cli.mode"


class Command(click.Command):
    """A command whose help ends with examples, and whose function takes an Output first.

    Args:
        examples: Whole command lines.
        shows: Whether it lists or shows something, and so has --json.
        attributes: Those of click.Command.
    """

    def __init__(self, *, examples: Sequence[str], shows: bool, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.examples = examples
        if shows:
            self.params.append(_mode_option("--json", Mode.JSON, "Print one JSON document."))
        self.params.append(_mode_option("--quiet", Mode.QUIET, "Print names only, and no messages.", "-q"))

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        ctx.obj = Output(ctx.meta.get(_MODE, Mode.HUMAN))
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, each on a line of its own."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


def command(
    name: str, *, examples: Sequence[str], shows: bool = False
) -> Callable[[Callable[..., object]], Command]:
    """Declare a command; its help is the function's docstring.

    Args:
        name: Its name in the group.
        examples: Whole command lines for the help.
        shows: Whether it lists or shows something, and so has --json.
    """

    def declare(function: Callable[..., object]) -> Command:
        made = click.command(name, cls=Command, examples=examples, shows=shows)(click.pass_obj(function))
        assert isinstance(made, Command)
        return made

    return declare


def _mode_option(name: str, mode: Mode, help: str, *short: str) -> click.Option:
    def choose(ctx: click.Context, parameter: click.Parameter, given: bool) -> None:
        if not given:
            return
        if _MODE in ctx.meta:
            raise click.UsageError("--json and --quiet exclude each other", ctx)
        ctx.meta[_MODE] = mode

    return click.Option([*short, name], is_flag=True, expose_value=False, callback=choose, help=help)
