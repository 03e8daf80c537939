"""Command groups that import a command when it is called, and not to list it."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click


@dataclass(frozen=True)
class Entry:
    """A command that is not imported yet.

    Args:
        place: Where it is, `module:name` below `bench_cli.commands`.
        summary: Its line in lists; the first of its help.
        section: The heading of that line.
    """

    place: str
    summary: str
    section: str = "Commands"

    def load(self) -> click.Command:
        """Import it."""
        module, _, name = self.place.partition(":")
        found: click.Command = getattr(import_module(f"bench_cli.commands.{module}"), name)
        return found


class LazyGroup(click.Group):
    """A group whose commands are entries.

    Args:
        entries: The commands by name, in the order of the help.
        default: The command that is meant where none is named; empty: the help is shown.
        attributes: Those of click.Group.
    """

    def __init__(self, *, entries: Mapping[str, Entry], default: str = "", **attributes: Any) -> None:
        super().__init__(**attributes)
        self.entries = entries
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command before options that name none."""
        names_none = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        if self.default and names_none and not ctx.resilient_parsing:
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is none of that name."""
        entry = self.entries.get(cmd_name)
        return entry.load() if entry else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name those that the user may have meant."""
        if args[0].isalpha() and args[0] not in self.entries and not ctx.resilient_parsing:
            raise click.NoSuchCommand(args[0], possibilities=self.entries, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the lists of commands, section by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, entry in self.entries.items():
            sections.setdefault(entry.section, []).append((name, entry.summary))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)
