"""When an order uses each chunk next: pure, and what is fetched and removed follows from it."""

from typing import Any

import numpy as np
from bench_data.order import ExactOrder, Indices, Order, SourceOrder, WindowOrder, derive_key

NEAR = 1 << 14
"""Positions ahead in which the samples themselves are looked up: some milliseconds."""

NEVER = np.inf
"""Of a chunk that has no sample in the order."""

SEQUENTIAL_CHUNKS = 4
"""What reading in the order of storage needs at once: its workers are not all at the same chunk."""

Uses = np.ndarray[Any, np.dtype[np.float64]]


def next_uses(state: dict[str, Any], starts: Indices) -> Uses:
    """How many samples from now each chunk is used next.

    Args:
        state: `ChunkSampler.state_dict()`: the order, and how far it has come.
        starts: The number of each chunk's first sample in the order's numbering, and the total, (C + 1,).

    Returns:
        (C,). After the epoch's end the next one is assumed to follow.
    """
    position, count = state["samples_yielded"], int(starts[-1])
    first, behind = _spans(state, starts, state["epoch"])
    following, _ = _spans(state, starts, state["epoch"] + 1)
    uses: Uses = np.where(
        position < behind, np.maximum(first - position, 0), following + count - position
    ).astype(np.float64)
    uses[np.diff(starts) == 0] = NEVER
    _look_closely(uses, state, starts)
    return uses


def needed_at_once(state: dict[str, Any], sizes: Indices) -> int:
    """Bytes of chunks that an order uses together.

    Args:
        state: As for `next_uses`.
        sizes: Bytes of each chunk that the order uses, (C,).
    """
    if state["shuffle"] == "exact":
        return int(sizes.sum())
    at_once = state["window_chunks"] if state["shuffle"] == "window" else SEQUENTIAL_CHUNKS
    return int(np.sort(sizes)[-at_once:].sum())


def _spans(state: dict[str, Any], starts: Indices, epoch: int) -> tuple[Indices, Indices]:
    """The positions between which each chunk's samples stand, (C,) each."""
    if state["shuffle"] == "window":
        order = _order(state, starts, epoch)
        assert isinstance(order, WindowOrder)
        return order.spans()
    if state["shuffle"] == "exact":
        return np.zeros_like(starts[:-1]), np.full_like(starts[:-1], starts[-1])
    return starts[:-1], starts[1:]


def _look_closely(uses: Uses, state: dict[str, Any], starts: Indices) -> None:
    """Put the chunks that the next samples are in into the order of their first sample."""
    position, count = state["samples_yielded"], int(starts[-1])
    positions = np.arange(position, min(position + NEAR, count), dtype=np.int64)
    samples = _order(state, starts, state["epoch"]).samples(positions)
    chunks, places = np.unique(starts.searchsorted(samples, "right") - 1, return_index=True)
    later = uses < len(positions)
    uses[later] = len(positions)
    uses[chunks] = places


def _order(state: dict[str, Any], starts: Indices, epoch: int) -> Order:
    fields = (state["fingerprint"], state["seed"], epoch)
    if state["shuffle"] == "exact":
        return ExactOrder(int(starts[-1]), derive_key("exact", *fields))
    if state["shuffle"] == "window":
        return WindowOrder(starts, state["window_chunks"], fields)
    return SourceOrder(int(starts[-1]))
