"""The order of samples: pure functions of a key, specified with test vectors in ORDER.md."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from blake3 import blake3

VERSION = 1
ROUNDS = 8
"""Half of them change the left part, half the right. Four make a pseudorandom permutation of a large domain
(Luby and Rackoff, How to construct pseudorandom permutations, 1988); small domains need more."""

Indices = np.ndarray[Any, np.dtype[np.int64]]
Words = np.ndarray[Any, np.dtype[np.uint64]]

_MULTIPLY_1 = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLY_2 = np.uint64(0xD1B54A32D192ED03)


def derive_key(purpose: str, *fields: str | int) -> bytes:
    """The key of a permutation, 64 bytes.

    Args:
        purpose: What the permutation is for: keys of different purposes have nothing in common.
        *fields: What it depends on.
    """
    text = "\0".join(["bench-order", str(VERSION), purpose, *map(str, fields)])
    return blake3(text.encode()).digest(8 * ROUNDS)


def permute(positions: Indices, n: int, key: bytes) -> Indices:
    """A keyed permutation of 0 .. n - 1, at some positions: a Feistel network with cycle walking.

    The same key and n give the same permutation on every machine, numpy version and in every language
    (ORDER.md).

    Args:
        positions: Each in 0 .. n - 1, int64.
        n: Size of the domain, at most 2**62.
        key: From `derive_key`.

    Returns:
        The element at each position, int64, the shape of `positions`.
    """
    found = positions.astype(np.uint64)
    if n <= 1:
        return positions.astype(np.int64)
    bits = max(2, (n - 1).bit_length())
    keys = np.frombuffer(key, "<u8")
    _rounds(found, bits, keys)
    limit = np.uint64(n)
    outside = np.flatnonzero(found >= limit)
    while len(outside):  # the domain is less than 2 n, so this halves every time or better
        walked = found[outside]
        _rounds(walked, bits, keys)
        found[outside] = walked
        outside = outside[walked >= limit]
    return found.astype(np.int64)


def _rounds(words: Words, bits: int, keys: Words) -> None:
    """Encrypt words of that many bits, in place."""
    low_bits = np.uint64(bits // 2)
    high_bits = np.uint64(bits) - low_bits
    low = words & ((np.uint64(1) << low_bits) - np.uint64(1))
    high = words >> low_bits
    for number in range(0, ROUNDS, 2):
        high ^= _mix(low, keys[number], high_bits)
        low ^= _mix(high, keys[number + 1], low_bits)
    np.bitwise_or(high << low_bits, low, out=words)


def _mix(words: Words, key: np.uint64, bits: np.uint64) -> Words:
    mixed = words ^ key
    mixed *= _MULTIPLY_1
    mixed ^= mixed >> np.uint64(32)
    mixed *= _MULTIPLY_2
    mixed >>= np.uint64(64) - bits
    return mixed


class Order(Protocol):
    """Which sample stands at which position of an epoch."""

    def __len__(self) -> int:
        """How many positions there are."""

    def samples(self, positions: Indices) -> Indices:
        """The numbers of the samples at these positions."""


@dataclass(frozen=True)
class SourceOrder:
    """Samples in the order of storage."""

    count: int

    def __len__(self) -> int:
        return self.count

    def samples(self, positions: Indices) -> Indices:
        """The numbers of the samples at these positions."""
        return positions


@dataclass(frozen=True)
class ExactOrder:
    """One permutation of all samples."""

    count: int
    key: bytes

    def __len__(self) -> int:
        return self.count

    def samples(self, positions: Indices) -> Indices:
        """The numbers of the samples at these positions."""
        return permute(positions, self.count, self.key)


class WindowOrder:
    """Chunks in a permuted order, and samples shuffled within groups of consecutive chunks.

    Args:
        chunk_starts: The number of each chunk's first sample, and the total, (C + 1,).
        window_chunks: Chunks in a group.
        fields: What the keys depend on.
    """

    def __init__(self, chunk_starts: Indices, window_chunks: int, fields: Sequence[str | int]) -> None:
        chunks = len(chunk_starts) - 1
        self._fields = tuple(fields)
        self._window_chunks = window_chunks
        self._chunks = permute(np.arange(chunks, dtype=np.int64), chunks, derive_key("chunks", *fields))
        self._starts = chunk_starts
        # Where each chunk, and each group, would begin if the groups were not shuffled.
        self._edges = np.concatenate([[0], np.cumsum(np.diff(chunk_starts)[self._chunks])])
        self._group_edges = np.append(self._edges[:-1:window_chunks], self._edges[-1])

    def __len__(self) -> int:
        return int(self._edges[-1])

    def samples(self, positions: Indices) -> Indices:
        """The numbers of the samples at these positions."""
        groups = self._group_edges.searchsorted(positions, "right") - 1
        places = np.empty_like(positions)
        for group in np.unique(groups).tolist():
            here = groups == group
            start, stop = self._group_edges[group : group + 2].tolist()
            key = derive_key("group", *self._fields, group)
            places[here] = permute(positions[here] - start, stop - start, key) + start
        chunks = self._edges.searchsorted(places, "right") - 1
        samples: Indices = self._starts[self._chunks[chunks]] + places - self._edges[chunks]
        return samples

    def spans(self) -> tuple[Indices, Indices]:
        """Where the samples of each chunk stand: the first position of its group, and the one behind it."""
        groups = np.arange(len(self._chunks)) // self._window_chunks
        first, behind = np.empty_like(self._chunks), np.empty_like(self._chunks)
        first[self._chunks] = self._group_edges[groups]
        behind[self._chunks] = self._group_edges[groups + 1]
        return first, behind


@dataclass(frozen=True, kw_only=True)
class Share:
    """One rank's positions of the rest of an epoch, batch by batch.

    In full global steps rank r of R takes [start + (s R + r) B, + B) of step s. The m positions left
    make a last step: with one rank and "pad" they are one short batch; with "drop" there is none; else each
    rank takes ceil(m / R), positions beyond the end wrapping around to the beginning of the order.

    Args:
        start: Positions already taken, by all ranks.
        count: Positions in the epoch.
        batch: B.
        rank: r.
        ranks: R.
        uneven: "pad" or "drop".
    """

    start: int
    count: int
    batch: int
    rank: int
    ranks: int
    uneven: str

    @property
    def full(self) -> int:
        """Full global steps."""
        return max(0, self.count - self.start) // (self.batch * self.ranks)

    @property
    def left(self) -> int:
        """Positions after them."""
        return max(0, self.count - self.start) - self.full * self.batch * self.ranks

    def __len__(self) -> int:
        return self.full + (1 if self.left and self.uneven == "pad" else 0)

    def positions(self, step: int) -> Indices:
        """The positions of one batch."""
        first, length = self.start + (step * self.ranks + self.rank) * self.batch, self.batch
        if step == self.full:
            length = -(-self.left // self.ranks)
            first = self.start + step * self.ranks * self.batch + self.rank * length
        return np.arange(first, first + length, dtype=np.int64) % self.count
