"""Which samples make an epoch, and how far it has come."""

from collections.abc import Iterator
from typing import Any, Literal, Protocol

import numpy as np
from torch.utils.data import DistributedSampler

from bench_data.errors import LoaderError
from bench_data.order import ExactOrder, Indices, Order, SourceOrder, WindowOrder, derive_key

Shuffle = Literal["exact", "window"] | bool

STATE_VERSION = 1
SLAB = 1 << 14
"""Positions looked up at a time: numpy's overhead is spread, and the slab stays in the L2 cache."""


class OrderedDataset(Protocol):
    """What an order needs of a dataset."""

    @property
    def fingerprint(self) -> str:
        """The digest of its content, hex."""

    @property
    def chunk_starts(self) -> Indices:
        """The number of each chunk's first sample, and the total, (C + 1,)."""

    def __len__(self) -> int:
        """How many samples there are."""


class ChunkSampler(DistributedSampler[int]):
    """The order of an epoch, and how far it has come: a pure function of dataset, seed and epoch.

    On its own it gives the *whole* order, for one process; `loader` takes each rank's share of it. It is a
    DistributedSampler so that Lightning leaves it as it is.

    Args:
        dataset: A ChunkDataset or a part of one.
        shuffle: "exact": one permutation of all samples; "window": a random order of chunks, samples shuffled
            in groups of `window_chunks`, which reads a slow disk chunk by chunk; False: the order of storage.
        seed: Of the order.
        window_chunks: Chunks in a group; more shuffle better.

    Raises:
        LoaderError: An argument cannot be.
    """

    def __init__(
        self, dataset: OrderedDataset, *, shuffle: Shuffle = "exact", seed: int = 0, window_chunks: int = 16
    ) -> None:
        if not hasattr(dataset, "fingerprint") or not hasattr(dataset, "chunk_starts"):
            raise LoaderError(
                f"a {type(dataset).__name__} has no order of its own",
                hint="Pass a ChunkDataset or a part of its split(); for others use torch's DataLoader.",
            )
        if shuffle is True:
            shuffle = "exact"
        if shuffle not in ("exact", "window", False):
            raise LoaderError(f"shuffle is {shuffle!r}, and must be 'exact', 'window' or False")
        if window_chunks < 1:
            raise LoaderError(f"window_chunks is {window_chunks!r}, and must be 1 or more")
        super().__init__(dataset, num_replicas=1, rank=0, shuffle=bool(shuffle), seed=seed)  # type: ignore[arg-type]
        self._source = dataset
        self.mode: str | bool = shuffle
        """The shuffle."""
        self.window_chunks = window_chunks
        """Chunks in a group."""
        self.count = len(dataset)
        """Positions in an epoch."""
        self.start = 0
        """Positions to leave out when the epoch is begun next: those a loaded state had yielded."""
        self.begun = 0
        """The position that the current iteration began at."""
        self.yielded = 0
        """Positions yielded so far in this epoch, by all ranks."""

    def order(self) -> Order:
        """The order of the current epoch."""
        fields = (self._source.fingerprint, self.seed, self.epoch)
        if self.mode == "exact":
            return ExactOrder(self.count, derive_key("exact", *fields))
        if self.mode == "window":
            return WindowOrder(self._source.chunk_starts, self.window_chunks, fields)
        return SourceOrder(self.count)

    def begin(self) -> None:
        """Begin an iteration at `start`; the one after it begins at 0 again."""
        self.begun = self.yielded = self.start
        self.start = 0

    def __iter__(self) -> Iterator[int]:
        self.begin()
        return (index for slab in _slabs(self.order(), self.begun) for index in slab)

    def __len__(self) -> int:
        return self.count - self.start

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch; another one than the current begins at its beginning."""
        if epoch != self.epoch:
            self.start = self.yielded = 0
        super().set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """How far the epoch has come; small, and the same for any number of workers and ranks."""
        return {**self._identity(), "epoch": self.epoch, "samples_yielded": self.yielded}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Begin the next epoch where that state was.

        Raises:
            LoaderError: It is the state of another order.
        """
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise LoaderError(
                    f"this state has {name} {state.get(name)!r}, and the loader has {value!r}",
                    hint="Load it with the same dataset, shuffle and seed, or begin the epoch anew.",
                )
        epoch, yielded = int(state["epoch"]), int(state["samples_yielded"])
        if not 0 <= yielded <= self.count:
            raise LoaderError(f"this state has yielded {yielded} of {self.count} samples")
        super().set_epoch(epoch)
        self.start = self.yielded = yielded

    def _identity(self) -> dict[str, Any]:
        window = {"window_chunks": self.window_chunks} if self.mode == "window" else {}
        order = {"fingerprint": self._source.fingerprint, "shuffle": self.mode, "seed": self.seed}
        return {"version": STATE_VERSION, **order, **window}


def _slabs(order: Order, start: int) -> Iterator[list[int]]:
    count = len(order)
    for at in range(start, count, SLAB):
        yield order.samples(np.arange(at, min(at + SLAB, count), dtype=np.int64)).tolist()
