"""Which samples a batch of a loader had: a pure function of what the loader was, the epoch and the batch."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench_data.errors import LoaderError
from bench_data.manifest import Manifest
from bench_data.order import VERSION, ExactOrder, Indices, Order, Share, SourceOrder, WindowOrder, derive_key
from bench_data.split import Cut, Part, whole

SHUFFLES = ("exact", "window", False)
MOST = 1 << 31
"""Ranks, samples in a batch, chunks in a group: positions then fit 64 bits."""


@dataclass(frozen=True, kw_only=True)
class BatchOrder:
    """What decides which samples one rank's batches of an epoch have.

    Args:
        dataset: The dataset's name; None for a dataset of the user's own.
        fingerprint: Of the whole dataset.
        cuts: Which part of it, by the splits that led there; empty for all of it.
        count: Samples in that part.
        shuffle: "exact", "window" or False.
        seed: Of the order.
        window_chunks: Chunks in a group.
        batch_size: Samples in a batch of one rank.
        rank: The rank.
        ranks: How many there are.
        uneven: "pad" or "drop".
        start: The position of batch 0: 0, unless the epoch was resumed between two global steps.
    """

    dataset: str | None
    fingerprint: str
    cuts: tuple[Cut, ...]
    count: int
    shuffle: str | bool
    seed: int
    window_chunks: int
    batch_size: int
    rank: int
    ranks: int
    uneven: str
    start: int

    def __post_init__(self) -> None:
        sizes = (self.window_chunks, self.batch_size, self.ranks)
        if (
            self.shuffle not in SHUFFLES
            or self.uneven not in ("pad", "drop")
            or not 1 <= min(sizes) <= max(sizes) <= MOST
            or not 0 <= self.rank < self.ranks
            or not 0 <= self.start < self.batch_size * self.ranks
        ):
            raise LoaderError(f"this is no order: {self}")

    def to_json(self) -> dict[str, Any]:
        """Its fields, for `batch_samples`."""
        return {"version": VERSION, **dataclasses.asdict(self)}

    @property
    def share(self) -> Share:
        """The positions of its batches."""
        return Share(
            start=self.start,
            count=self.count,
            batch=self.batch_size,
            rank=self.rank,
            ranks=self.ranks,
            uneven=self.uneven,
        )

    def of_epoch(self, epoch: int, part: Part) -> Order:
        """Which sample of the part stands where in an epoch."""
        fields = (part.fingerprint, self.seed, epoch)
        if self.shuffle == "exact":
            return ExactOrder(self.count, derive_key("exact", *fields))
        if self.shuffle == "window":
            return WindowOrder(part.chunk_starts, self.window_chunks, fields)
        return SourceOrder(self.count)


def batch_samples(fields: Mapping[str, Any], epoch: int, batch: int, manifest: Manifest) -> Indices:
    """The numbers of the samples that a loader's batch had, in their order. Needs no torch.

    Args:
        fields: What `BatchOrder.to_json` gave, as bench-track stores it.
        epoch: The epoch, as `set_epoch` was told.
        batch: 0, 1, ... from the beginning of the epoch, of that rank.
        manifest: Of the whole dataset.

    Returns:
        Sample numbers in the whole dataset, int64 (B,).

    Raises:
        LoaderError: The order is none, or of another dataset; or the epoch has no such batch.
    """
    order = _read(fields)
    if order.fingerprint != manifest.fingerprint:
        there = manifest.fingerprint[:12]
        raise LoaderError(f"this order is of the dataset {order.fingerprint[:12]}, and this one is {there}")
    part = whole(manifest)
    for cut in order.cuts:
        part = part.cut(cut)
    if order.count != part.count:
        raise LoaderError(f"this order is of {order.count} samples, and there are {part.count}")
    if not 0 <= batch < len(order.share):
        raise LoaderError(f"the epoch has {len(order.share)} batches, and no batch {batch}")
    samples = order.of_epoch(epoch, part).samples(order.share.positions(batch))
    return samples if part.indices is None else part.indices[samples]


_KINDS: dict[str, Any] = {"dataset": str | None, "fingerprint": str, "shuffle": str | bool, "uneven": str}
"""Of the fields that are no numbers."""


def _read(fields: Mapping[str, Any]) -> BatchOrder:
    if fields.get("version") != VERSION:
        raise LoaderError(f"this order has version {fields.get('version')!r}, and must have {VERSION}")
    values: dict[str, Any] = {field.name: fields.get(field.name) for field in dataclasses.fields(BatchOrder)}
    cuts = values.pop("cuts")
    if not all(isinstance(value, _KINDS.get(name, int)) for name, value in values.items()):
        raise LoaderError(f"this is no order: {dict(fields)}")
    try:
        return BatchOrder(cuts=tuple(Cut(**cut) for cut in cuts), **values)
    except TypeError:
        raise LoaderError(f"this is no order: {dict(fields)}") from None
