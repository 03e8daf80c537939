"""The loader: torch's DataLoader with an order that can be resumed."""

from collections.abc import Callable, Iterator
from itertools import accumulate, pairwise
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader

from bench_data.announced_order import AnnouncedOrder
from bench_data.batch_order import BatchOrder
from bench_data.collate import collate_samples
from bench_data.dataset import ChunkSubset
from bench_data.errors import LoaderError
from bench_data.inline_tensors import InlineCollate
from bench_data.latest_batch import latest_batch
from bench_data.order import Indices, Order, Share
from bench_data.remote import Remote
from bench_data.sampler import SLAB, ChunkSampler, OrderedDataset, Shuffle
from bench_data.split import Cut

Uneven = Literal["pad", "drop"]


def loader(
    dataset: OrderedDataset,
    *,
    batch_size: int = 64,
    shuffle: Shuffle = "exact",
    seed: int = 0,
    rank: int | None = None,
    world_size: int | None = None,
    uneven: Uneven = "pad",
    window_chunks: int = 16,
    drop_last: bool = False,
    num_workers: int = 0,
    collate_fn: Callable[[list[Any]], Any] | None = None,
    pin_memory: bool = False,
    timeout: float = 0,
    worker_init_fn: Callable[[int], None] | None = None,
    multiprocessing_context: Any = None,
    generator: torch.Generator | None = None,
    prefetch_factor: int | None = None,
    persistent_workers: bool = False,
    in_order: bool = True,
) -> "ChunkLoader":
    """A torch DataLoader that shuffles well, splits by rank and resumes at the very next sample.

    The order of an epoch follows from the dataset's content, the seed and the epoch alone. `set_epoch`
    decides the epoch, as with torch's DistributedSampler; without it every epoch is the same.

    Args:
        dataset: A ChunkDataset, or a part that its `split` gave.
        batch_size: Samples in a batch of one rank.
        shuffle: "exact": one permutation of all samples; "window": of chunks, and of samples within groups of
            `window_chunks` (for disks that are slow at random reads); False: the order of storage.
        seed: Of the order.
        rank: This process, 0 .. world_size - 1; from torch.distributed unless given.
        world_size: Processes that share an epoch; from torch.distributed unless given.
        uneven: What to do with the last global step if it is not full: "pad" deals its samples out evenly
            and repeats at most world_size - 1 of them so that all ranks get the same number; "drop" leaves
            it out.
        window_chunks: Chunks in a group.
        drop_last: Leave out a last batch that is not full; the same as uneven="drop".
        num_workers: As in torch's DataLoader, like all that follow.
        collate_fn: Joins samples to a batch; unless given, torch's, with None and ChunkFile kept as lists.
        pin_memory: See torch.
        timeout: Seconds.
        worker_init_fn: See torch.
        multiprocessing_context: See torch.
        generator: Seeds the workers; the order does not depend on it.
        prefetch_factor: See torch.
        persistent_workers: See torch.
        in_order: See torch; False gives up the reproducible order of batches.

    Raises:
        LoaderError: An argument cannot be.
        CloudError: The dataset is streamed, and the cache is too small for this order.

    Example:
        dl = loader(ds, batch_size=64, shuffle="exact", seed=0, num_workers=2)
        for epoch in range(10):
            dl.set_epoch(epoch)
            for labels, images in dl:
                ...
    """
    if (rank is None) != (world_size is None):
        raise LoaderError("rank and world_size are given together, or neither")
    if rank is not None and world_size is not None and not 0 <= rank < world_size:
        raise LoaderError(f"rank is {rank} of world_size {world_size}")
    if uneven not in ("pad", "drop"):
        raise LoaderError(f"uneven is {uneven!r}, and must be 'pad' or 'drop'")
    if batch_size < 1:
        raise LoaderError(f"batch_size is {batch_size!r}, and must be 1 or more")
    return ChunkLoader(
        dataset,
        placement=None if rank is None or world_size is None else (rank, world_size),
        uneven="drop" if drop_last else uneven,
        sampler=ChunkSampler(dataset, shuffle=shuffle, seed=seed, window_chunks=window_chunks),
        batch_size=batch_size,
        drop_last=drop_last or uneven == "drop",
        num_workers=num_workers,
        collate_fn=InlineCollate(collate_fn or collate_samples),
        pin_memory=pin_memory,
        timeout=timeout,
        worker_init_fn=worker_init_fn,
        multiprocessing_context=multiprocessing_context,
        generator=generator,
        prefetch_factor=prefetch_factor,
        persistent_workers=persistent_workers,
        in_order=in_order,
    )


class ChunkLoader(DataLoader[Any]):
    """What `loader` makes.

    `sampler` and `batch_sampler` are those of the whole order, so that a library that shards them itself
    (Accelerate) shards once; this loader takes its rank's share when it is iterated itself.
    """

    sampler: ChunkSampler
    batch_size: int

    def __init__(
        self, dataset: Any, *, placement: tuple[int, int] | None, uneven: Uneven, **options: Any
    ) -> None:
        self._share_of_rank = _RankBatches(options["sampler"], options["batch_size"], placement, uneven)
        self._announced = _announce(dataset, options["sampler"])
        super().__init__(dataset, **options)

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch; another one than the current begins at its beginning."""
        self.sampler.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """How far the epoch has come: what was yielded, not what workers have fetched ahead."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from that state with the next iteration.

        Raises:
            LoaderError: It is the state of another dataset, shuffle or seed.
        """
        self.sampler.load_state_dict(state)

    def __len__(self) -> int:
        """Batches that the next iteration gives; the same on every rank."""
        return len(self._share_of_rank.share(self.sampler.start))

    def __iter__(self) -> Any:
        self.sampler.begin()
        if self._announced is not None:
            self._announced.begin(_in_dataset(self.dataset, next(iter(self._share_of_rank), [])))
        return self._count(super().__iter__())

    def _count(self, batches: Iterator[Any]) -> Iterator[Any]:
        sampler, step = self.sampler, self.batch_size * self._share_of_rank.rank_of()[1]
        order, epoch = self._batch_order(), sampler.epoch
        number, asked = sampler.begun // step, perf_counter()
        for batch in batches:
            latest_batch.waited_seconds += perf_counter() - asked
            latest_batch.position = (order, epoch, number)
            number += 1
            sampler.yielded = min(sampler.count, sampler.yielded + step)
            if self._announced is not None:
                self._announced.moved()
            yield batch
            asked = perf_counter()
        sampler.yielded = sampler.count

    def _batch_order(self) -> BatchOrder | None:
        """How to find the samples of a batch again; None for a part that no `split` made."""
        share = self._share_of_rank.share(self.sampler.begun)
        dataset: Any = self.dataset
        cuts: list[Cut] = []
        while isinstance(dataset, ChunkSubset):
            if dataset.cut is None:
                return None
            cuts.insert(0, dataset.cut)
            dataset = dataset.dataset
        return BatchOrder(
            dataset=getattr(dataset, "name", None),
            fingerprint=dataset.fingerprint,
            cuts=tuple(cuts),
            count=share.count,
            shuffle=self.sampler.mode,
            seed=self.sampler.seed,
            window_chunks=self.sampler.window_chunks,
            batch_size=share.batch,
            rank=share.rank,
            ranks=share.ranks,
            uneven=share.uneven,
            start=share.start % (share.batch * share.ranks),
        )

    @property
    def _index_sampler(self) -> "_RankBatches":
        # What torch's iterators draw batches of indices from.
        return self._share_of_rank


def _in_dataset(dataset: Any, samples: list[int]) -> list[int]:
    """The numbers in the whole dataset of samples of a part."""
    numbers = np.array(samples, np.int64)
    while isinstance(dataset, ChunkSubset):
        numbers, dataset = dataset.indices[numbers], dataset.dataset
    return [int(number) for number in numbers]


def _announce(dataset: Any, sampler: ChunkSampler) -> AnnouncedOrder | None:
    """Tell the agent of the order, if the dataset is streamed."""
    remote = getattr(dataset, "remote", None)
    if not isinstance(remote, Remote):
        return None
    part = isinstance(dataset, ChunkSubset)
    return AnnouncedOrder(remote, sampler, dataset.chunk_starts.tolist() if part else None)


class _RankBatches:
    """This rank's batches of sample numbers.

    It does not know the loader: torch's iterators hold it, and a persistent one that is part of a reference
    cycle waits ten seconds for its workers when it is collected.
    """

    def __init__(
        self, sampler: ChunkSampler, batch_size: int, placement: tuple[int, int] | None, uneven: Uneven
    ) -> None:
        self._sampler, self._batch_size = sampler, batch_size
        self._placement, self._uneven = placement, uneven

    def rank_of(self) -> tuple[int, int]:
        """This process's rank and the world size; late, as Lightning makes the group after the loader."""
        if self._placement is not None:
            return self._placement
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_rank(), torch.distributed.get_world_size()
        return 0, 1

    def share(self, start: int) -> Share:
        """What this rank takes of an epoch that begins there."""
        rank, ranks = self.rank_of()
        count, batch, uneven = self._sampler.count, self._batch_size, self._uneven
        return Share(start=start, count=count, batch=batch, rank=rank, ranks=ranks, uneven=uneven)

    def __len__(self) -> int:
        return len(self.share(self._sampler.begun))

    def __iter__(self) -> Iterator[list[int]]:
        # Not a generator: the epoch's order is settled now, not when the first batch is asked for.
        share, order = self.share(self._sampler.begun), self._sampler.order()
        at_once = max(1, SLAB // self._batch_size)
        slabs = (range(at, min(at + at_once, len(share))) for at in range(0, len(share), at_once))
        return (
            batch for steps in slabs for batch in _look_up(order, [share.positions(step) for step in steps])
        )


def _look_up(order: Order, positions: list[Indices]) -> list[list[int]]:
    """Batches of sample numbers from batches of positions."""
    samples = order.samples(np.concatenate(positions)).tolist()
    ends = list(accumulate(map(len, positions), initial=0))
    return [samples[start:end] for start, end in pairwise(ends)]
