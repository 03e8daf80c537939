"""What readers ask of the cache: datasets, orders and chunks."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from bench_core import BenchError
from bench_data.manifest import chunk_name, read_manifest
from bench_data.order import Indices

from bench_agent.lookahead import Uses, next_uses
from bench_agent.routes import Route


class Dataset:
    """A dataset in the cache.

    Args:
        folder: Where.
    """

    def __init__(self, folder: Path) -> None:
        manifest = read_manifest(folder)
        self.folder, self.starts = folder, manifest.chunk_starts
        self.paths = [folder / chunk_name(digest) for digest in manifest.chunk_digests]
        self.digests, self.sizes = manifest.chunk_digests, np.array(manifest.chunk_sizes, np.int64)
        self.numbers = {path: number for number, path in enumerate(self.paths)}

    @property
    def total_bytes(self) -> int:
        """Of all its chunks."""
        return int(self.sizes.sum())


@dataclass(eq=False)
class Registered:
    """An order that a reader is at.

    Args:
        dataset: Of which dataset.
        route: How its chunks are fetched: the stub and the project.
        state: `ChunkSampler.state_dict()`.
        starts: The dataset's, or those of the part that is read.
    """

    dataset: Dataset
    route: Route
    state: dict[str, Any]
    starts: Indices
    _uses: Uses | None = None

    def move(self, state: dict[str, Any]) -> None:
        """Note how far it has come."""
        if state != self.state:
            self.state, self._uses = state, None

    def uses(self) -> Uses:
        """How many samples from now each chunk is used next, (C,)."""
        if self._uses is None:
            self._uses = next_uses(self.state, self.starts)
        return self._uses


@dataclass(eq=False)
class Want:
    """A chunk that a reader waits for.

    Attributes:
        takes_early: An early copy will do.
        is_full: No room can be made for it while readers have so much open.
        error: Why it does not come.
    """

    dataset: Dataset
    path: Path
    route: Route
    takes_early: bool = False
    since: float = field(default_factory=time.monotonic)
    is_full: bool = False
    error: BenchError | None = None


@dataclass(eq=False)
class Fetching:
    """A chunk on its way.

    Attributes:
        trouble: Why no bytes come, if none do.
        was_ahead: It failed while no reader waited; one that came since has it tried again.
    """

    dataset: Dataset
    path: Path
    size: int
    received: int = 0
    trouble: str | None = None
    was_ahead: bool = False
