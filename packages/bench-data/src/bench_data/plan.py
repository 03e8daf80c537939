"""Decides what to write: pure, from the previous manifest, what the source has, and the options."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from blake3 import blake3

from bench_data.options import WriteOptions
from bench_data.order import derive_key, permute
from bench_data.stored_zip import VERSION, canonical_json

Indices = np.ndarray[Any, np.dtype[np.int64]]

MIN_BLOCK_BYTES = 8 << 20
"""A block has at least this much unless there is less: far above the cost of a task (1 ms)."""

MIN_BLOCK_SAMPLES = 32
"""And as many samples, unless they do not fit a chunk: ten new files cost one chunk however large they
are."""

MAX_BLOCK_SAMPLES = 1 << 18
"""And no more than so many, however small they are: some 250 bytes of each are kept until it is finished."""

BLOCKS_WANTED = 32
"""Blocks that a small dataset is cut into, so that several workers finish together."""

FILL = 0.9
"""How full of `chunk_bytes` a block is planned: estimates are off by a few percent, and one over is two
chunks."""


@dataclass(frozen=True)
class Selection:
    """The source indices that a segment's samples come from, in the order of storage.

    Args:
        count: How many.
        base: Which, int64 (count,), or None for all of 0 .. count - 1.
        key: Of the permutation that shuffles them, or None to keep their order.
    """

    count: int
    base: Indices | None = None
    key: bytes | None = None

    def indices(self, start: int, stop: int) -> Indices:
        """The source indices at these positions."""
        positions = np.arange(start, stop, dtype=np.int64)
        if self.key is not None:
            positions = permute(positions, self.count, self.key)
        return positions if self.base is None else self.base[positions]


@dataclass(frozen=True)
class Block:
    """One task: positions [start, stop) of a selection, written by one worker."""

    number: int
    selection: Selection
    start: int
    stop: int

    def indices(self) -> Indices:
        """The source indices of the block's samples, in the order of storage."""
        return self.selection.indices(self.start, self.stop)


@dataclass(frozen=True)
class Kept:
    """Chunks [first, last) of a previous segment that stay as they are."""

    segment: int
    first: int
    last: int


@dataclass(frozen=True)
class Plan:
    """Every segment of the new version, as what is kept and what is written."""

    segments: Sequence[Sequence[Kept | Block]]
    blocks: Sequence[Block] = field(default=())

    def digest(self, previous: str | None, options: WriteOptions) -> str:
        """Names the plan: an interrupted write is resumed by the same plan only.

        Args:
            previous: The fingerprint of the version that is written over, or None.
            options: The write's options.
        """
        hasher = blake3(canonical_json({"options": options.layout, "previous": previous, "version": VERSION}))
        for block in self.blocks:
            numbers = [block.number, block.start, block.stop, block.selection.count]
            hasher.update(np.array(numbers, "<i8").tobytes() + (block.selection.key or b""))
            if block.selection.base is not None:
                hasher.update(block.selection.base[block.start : block.stop].astype("<i8").tobytes())
        return hasher.hexdigest()[:16]


@dataclass(frozen=True)
class OldSegment:
    """A previous segment, as the plan needs it.

    Args:
        samples: Samples in each chunk (C,).
        now: The source index of each sample (N,), -1 if it is gone.
        changed: Whether each sample's source changed (N,).
    """

    samples: np.ndarray[Any, Any]
    now: Indices
    changed: np.ndarray[Any, np.dtype[np.bool_]]


def plan_new(samples: int, sample_bytes: float, options: WriteOptions) -> Plan:
    """Plan a dataset that was not there before.

    Args:
        samples: How many there are.
        sample_bytes: About how many bytes one takes in a chunk.
        options: The write's options.
    """
    selection = Selection(samples, None, _key(options, 0, samples))
    blocks = list(_cut(selection, sample_bytes, options, 0))
    return Plan([blocks], blocks)


def plan_update(old: Sequence[OldSegment], new: Indices, sample_bytes: float, options: WriteOptions) -> Plan:
    """Plan a new version: unchanged chunks stay, touched ones are rewritten, new samples form a segment.

    Args:
        old: The previous segments.
        new: Source indices of the samples that no previous segment has.
        sample_bytes: About how many bytes one takes in a chunk.
        options: The write's options.
    """
    segments: list[list[Kept | Block]] = []
    blocks: list[Block] = []
    for number, segment in enumerate(old):
        parts = list(_plan_old(number, segment, len(blocks)))
        blocks += [part for part in parts if isinstance(part, Block)]
        if parts:
            segments.append(parts)
    if len(new):
        selection = Selection(len(new), new, _key(options, len(old), len(new)))
        added = list(_cut(selection, sample_bytes, options, len(blocks)))
        blocks += added
        segments.append(list(added))
    return Plan(segments, blocks)


def match(
    old: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
    found: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
) -> tuple[Indices, np.ndarray[Any, np.dtype[np.bool_]], Indices]:
    """Find the samples of the previous version in the source.

    Args:
        old: Their source keys and source digests, (N, 16) each, in the order of storage.
        found: Those of the source, (M, 16) each, by source index.

    Returns:
        For each old sample its source index or -1 (N,); whether it changed (N,); the source indices that are
        new.
    """
    (old_keys, old_rows), (keys, rows) = old, found
    now = np.full(len(old_keys), -1, np.int64)
    taken = np.zeros(len(keys), np.bool_)
    same_old, same_new = _pair(old_rows, rows)  # a source digest is made of the source key, among others
    now[same_old], taken[same_new] = same_new, True
    left_old, left_new = np.flatnonzero(now < 0), np.flatnonzero(~taken)
    edited_old, edited_new = _pair(old_keys[left_old], keys[left_new])
    now[left_old[edited_old]], taken[left_new[edited_new]] = left_new[edited_new], True
    changed = np.zeros(len(old_keys), np.bool_)
    changed[left_old[edited_old]] = True
    return now, changed, np.flatnonzero(~taken).astype(np.int64)


def _pair(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> tuple[Indices, Indices]:
    """Positions of equal digests in two arrays; the k-th of several equal ones goes with the k-th."""
    if not len(one) or not len(other):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    words = np.concatenate([one, other]).view("<u8")
    order = np.lexsort(words.T)  # any total order will do; a stable sort leaves equal ones as they came
    words = words[order]
    fresh = np.concatenate([[True], (words[1:] != words[:-1]).any(axis=1)])
    starts = np.flatnonzero(fresh)
    counts = np.add.reduceat(order < len(one), starts, dtype=np.int64)  # of `one`, in each run of equals
    places = np.flatnonzero(order >= len(one))
    runs = np.cumsum(fresh)[places] - 1
    partners = places - counts[runs]
    paired = partners < starts[runs] + counts[runs]
    return order[partners[paired]], order[places[paired]] - len(one)


def _plan_old(number: int, segment: OldSegment, first_block: int) -> Iterator[Kept | Block]:
    touched = segment.changed | (segment.now < 0)
    starts = np.concatenate([[0], np.cumsum(segment.samples, dtype=np.int64)])
    kept_from = 0
    for chunk, (start, stop) in enumerate(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)):
        if not touched[start:stop].any():
            continue
        if kept_from < chunk:
            yield Kept(number, kept_from, chunk)
        kept_from = chunk + 1
        left = segment.now[start:stop]
        left = left[left >= 0]
        if len(left):
            yield Block(first_block, Selection(len(left), left), 0, len(left))
            first_block += 1
    if kept_from < len(segment.samples):
        yield Kept(number, kept_from, len(segment.samples))


def _cut(selection: Selection, sample_bytes: float, options: WriteOptions, first: int) -> Iterator[Block]:
    total = selection.count * sample_bytes
    least = math.ceil(max(total / (FILL * options.chunk_bytes), selection.count / MAX_BLOCK_SAMPLES))
    split = math.ceil(total / max(MIN_BLOCK_BYTES, total / BLOCKS_WANTED))
    blocks = min(selection.count, max(1, least, min(split, selection.count // MIN_BLOCK_SAMPLES)))
    edges = [selection.count * number // blocks for number in range(blocks + 1)]
    for number in range(blocks):
        yield Block(first + number, selection, edges[number], edges[number + 1])


def _key(options: WriteOptions, segment: int, samples: int) -> bytes | None:
    if options.order == "source":
        return None
    return derive_key("segment", options.seed, segment, samples)
