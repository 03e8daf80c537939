"""Two processes that each write their half, for the peers that have no parallel writer of their own."""

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.contenders import WORKERS

Write = Callable[[int, Any, Path], None]
"""Number of the part, the part, the folder of the whole."""


def write_halves(write: Write, parts: list[Any], out: Path) -> None:
    """Run `write` on each part in a forked process of its own (the fastest start there is)."""
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        pool.starmap(write, [(number, part, out) for number, part in enumerate(parts)])


def halves(count: int) -> list[range]:
    return [range(count * part // WORKERS, count * (part + 1) // WORKERS) for part in range(WORKERS)]


def settle(durable: bool) -> None:
    """Wait for the disk, on behalf of a peer that does not."""
    if durable:
        os.sync()
