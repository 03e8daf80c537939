"""A progress bar on a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn

BAR_COLUMNS = 60
"""In a narrower terminal a bar would leave no room for the words and numbers."""


@contextmanager
def bytes_bar(text: str, shown: bool | None) -> Iterator[Callable[[int, int], None]]:
    """Show bytes and their rate on standard error while the block runs.

    Args:
        text: What is being done.
        shown: Whether to show it; if None, on a terminal.

    Yields:
        A function that takes the bytes done and those to do.
    """
    if not (sys.stderr.isatty() if shown is None else shown):
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    said = (TextColumn("{task.description}"), DownloadColumn())
    wide = (said[0], BarColumn(), said[1], TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*_fitting(console, wide, said), console=console, auto_refresh=False) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total, refresh=True)


@contextmanager
def progress_bar(text: str, total: int, shown: bool | None) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error while the block runs.

    Args:
        text: What is being done.
        total: How much there is to do.
        shown: Whether to show it; if None, on a terminal.

    Yields:
        A function that advances the bar.
    """
    if not (sys.stderr.isatty() if shown is None else shown):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    said = (TextColumn("{task.description}"), MofNCompleteColumn())
    wide = (said[0], BarColumn(), said[1], TimeRemainingColumn())
    drawn = 0.0
    # Drawn as it advances, not by a thread: with a thread, workers could not be started by fork.
    with Progress(*_fitting(console, wide, said), console=console, auto_refresh=False) as bar:
        task = bar.add_task(text, total=total)

        def advance(amount: int) -> None:
            nonlocal drawn
            bar.advance(task, amount)
            if time.monotonic() > drawn + 0.1:
                bar.refresh()
                drawn = time.monotonic()

        bar.refresh()
        yield advance


def _fitting(
    console: "Console", wide: "tuple[ProgressColumn, ...]", narrow: "tuple[ProgressColumn, ...]"
) -> "tuple[ProgressColumn, ...]":
    return wide if console.width >= BAR_COLUMNS else narrow
