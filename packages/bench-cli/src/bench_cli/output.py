"""The one sink of what commands print: results on stdout, everything else on stderr."""

import contextlib
import enum
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

UNBOUNDED = 10_000
"""Columns of what is no terminal."""

Document = Mapping[str, Any]
"""A thing as --json prints it: snake_case, sizes in bytes, ISO 8601."""


class Mode(enum.Enum):
    """How results look."""

    HUMAN = "human"
    JSON = "json"
    QUIET = "quiet"


@dataclass(frozen=True)
class Column:
    """A column of a table, or a line of a record.

    Args:
        title: Its heading.
        text: What it shows of a document.
        right: Whether it is flush right, as numbers are.
    """

    title: str
    text: Callable[[Document], str]
    right: bool = False


class Output:
    """Prints what a command has to say.

    Args:
        mode: How results look.
    """

    def __init__(self, mode: Mode = Mode.HUMAN) -> None:
        self.mode = mode

    @property
    def shows_progress(self) -> bool:
        """Whether progress is shown: on a terminal, unless quiet."""
        return self.mode is not Mode.QUIET and sys.stderr.isatty()

    def note(self, text: str) -> None:
        """Say something beside the result; not in quiet mode."""
        if self.mode is not Mode.QUIET:
            print(printable(text), file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Say something that should not be missed."""
        print(printable(f"Warning: {text}"), file=sys.stderr, flush=True)

    def result(self, text: str, document: Document | None = None, name: str | None = None) -> None:
        """Print what a command did.

        Args:
            text: For people.
            document: For programs.
            name: For scripts: the one word that goes on.
        """
        if self.mode is Mode.JSON:
            self._json(document)
        elif self.mode is Mode.HUMAN:
            self._print(text)
        elif name is not None:
            self._print(name)

    def record(self, document: Document, lines: Sequence[Column], name: str) -> None:
        """Show one thing; quiet mode prints its name."""
        if self.mode is Mode.JSON:
            self._json(document)
        elif self.mode is Mode.QUIET:
            self._print(name)
        else:
            self._record(document, lines)

    def table(self, documents: Sequence[Document], columns: Sequence[Column], *, empty: str) -> None:
        """Show a list of things; quiet mode prints the first column only.

        Args:
            documents: The things.
            columns: What is shown of each.
            empty: Said on stderr if there is none.
        """
        if self.mode is Mode.JSON:
            self._json(documents)
        elif self.mode is Mode.QUIET:
            for document in documents:
                self._print(columns[0].text(document))
        elif documents:
            self._table(documents, columns)
        else:
            self.note(empty)

    @contextlib.contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Show on a terminal that something takes its time, while the block runs."""
        if not self.shows_progress:
            yield
            return
        with _console(sys.stderr).status(printable(text)):
            yield

    def _json(self, document: Document | Sequence[Document] | None) -> None:
        print(json.dumps(document, indent=2, ensure_ascii=False))

    def _print(self, text: str) -> None:
        print(printable(text))

    def _record(self, document: Document, lines: Sequence[Column]) -> None:
        width = max(len(line.title) for line in lines)
        for line in lines:
            text = line.text(document)
            pad = 0 if text.startswith("\n") else width + 2
            self._print(f"{line.title + ':':<{pad}}{text}")

    def _table(self, documents: Sequence[Document], columns: Sequence[Column]) -> None:
        from rich.measure import Measurement

        console, table = _console(sys.stdout), _rich_table(documents, columns)
        unbounded = console.options.update(max_width=UNBOUNDED)
        if Measurement.get(console, unbounded, table).maximum <= console.width:
            console.print(table)
            return
        for number, document in enumerate(documents):  # too narrow for a table
            if number:
                print()
            self._record(document, columns)


def printable(text: str) -> str:
    """Text that cannot steer a terminal: names may come from other people."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def _rich_table(documents: Sequence[Document], columns: Sequence[Column]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", no_wrap=True)
    for document in documents:
        table.add_row(*(Text(printable(column.text(document))) for column in columns))
    return table


def _console(stream: TextIO) -> "Console":
    from rich.console import Console

    return Console(file=stream, force_terminal=stream.isatty(), width=_width(stream), highlight=False)


def _width(stream: TextIO) -> int | None:
    """The terminal's; where there is none and nobody set one, lines are as long as they need to be."""
    if stream.isatty() or os.environ.get("COLUMNS"):
        return shutil.get_terminal_size().columns
    return UNBOUNDED
