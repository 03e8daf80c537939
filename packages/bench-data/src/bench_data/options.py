"""How a dataset is written."""

import os
from contextlib import suppress
from dataclasses import dataclass
from operator import index as as_index
from typing import Any, Literal

from bench_data.errors import OptionsError

Order = Literal["shuffled", "source"]


def usable_cpus() -> int:
    """CPUs that this process may use (a container or `taskset` may allow fewer than there are)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """How a dataset is written.

    `chunk_bytes`, `order` and `seed` decide the bytes; changing one of them writes the dataset anew.

    Args:
        workers: Processes that write, this one included; the usable CPUs unless given. The bytes do not
            depend on it.
        chunk_bytes: A chunk is closed when it has this many bytes. Small datasets get smaller chunks.
        order: `shuffled` stores the samples in a seeded random order, so that a window of chunks is a fair
            sample; `source` keeps the order of the processor.
        seed: Of that order.
        durable: Return only when everything is on the disk, so that a power cut loses nothing.
        source_version: Names the state of the source data. If given, an unchanged version means that nothing
            changed, and no file is looked at. If not, names, sizes, modification times and labels decide.

    Raises:
        OptionsError: A value cannot be.
    """

    workers: int | None = None
    chunk_bytes: int = 64 << 20
    order: Order = "shuffled"
    seed: int = 0
    durable: bool = True
    source_version: str | None = None

    def __post_init__(self) -> None:
        for name in ("workers", "chunk_bytes", "seed"):
            with suppress(TypeError):  # refused below
                object.__setattr__(self, name, int(as_index(getattr(self, name))))
        if self.workers is not None and not _is_within(self.workers, 1, 4096):
            raise OptionsError(f"workers is {self.workers!r}, and must be 1 to 4096")
        if not _is_within(self.chunk_bytes, 1 << 10, 1 << 40):
            raise OptionsError(f"chunk_bytes is {self.chunk_bytes!r}, and must be 1 KiB to 1 TiB, whole")
        if self.order not in ("shuffled", "source"):
            raise OptionsError(f"order is {self.order!r}, and must be 'shuffled' or 'source'")
        if not _is_within(self.seed, 0, (1 << 64) - 1):
            raise OptionsError(f"seed is {self.seed!r}, and must be 0 to 2**64 - 1")
        if not isinstance(self.source_version, (str, type(None))):
            raise OptionsError(f"source_version is {self.source_version!r}, and must be a string")

    @property
    def layout(self) -> dict[str, Any]:
        """The options that decide the bytes, as the manifest keeps them."""
        return {"chunk_bytes": self.chunk_bytes, "order": self.order, "seed": self.seed}


def _is_within(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and least <= value <= most
