"""Which part of a split a sample belongs to: pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from blake3 import blake3

from bench_data.errors import LoaderError
from bench_data.order import derive_key

if TYPE_CHECKING:
    from bench_data.manifest import Manifest

Indices = np.ndarray[Any, np.dtype[np.int64]]
Keys = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One of the two parts of a split.

    Args:
        fraction: Of the samples, in the first part.
        seed: Of the split.
        side: 0 for the first part, 1 for the second.
    """

    fraction: float
    seed: int
    side: int

    def __post_init__(self) -> None:
        kinds = isinstance(self.fraction, int | float) and isinstance(self.seed, int)
        if not kinds or not 0 <= self.fraction <= 1 or self.side not in (0, 1):
            raise LoaderError(f"this is no part of a split: {self}")


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some of a dataset's samples.

    Args:
        fingerprint: Of the part.
        chunk_starts: The number in the part of each chunk's first sample, and the total, (C + 1,).
        keys: Gives the source keys of the samples (n, 16).
        indices: Their numbers in the whole dataset, ascending (n,); None for all of them.
    """

    fingerprint: str
    chunk_starts: Indices
    keys: Callable[[], Keys]
    indices: Indices | None

    @property
    def count(self) -> int:
        """How many samples there are."""
        return int(self.chunk_starts[-1])

    def cut(self, cut: Cut) -> "Part":
        """A part of this part."""
        keys = self.keys()
        chosen = split_positions(keys, cut.fraction, cut.seed)[cut.side]
        return Part(
            fingerprint=split_fingerprint(self.fingerprint, chosen),
            chunk_starts=chosen.searchsorted(self.chunk_starts),
            keys=lambda: keys[chosen],
            indices=chosen if self.indices is None else self.indices[chosen],
        )


def whole(manifest: "Manifest") -> Part:
    """All samples of a dataset."""
    return Part(
        fingerprint=manifest.fingerprint,
        chunk_starts=manifest.chunk_starts,
        keys=lambda: manifest.column("keys"),
        indices=None,
    )


def split_positions(keys: Keys, fraction: float, seed: int) -> tuple[Indices, Indices]:
    """Rank samples by a hash of their source key and cut.

    Args:
        keys: Source keys (N, 16).
        fraction: Of the samples, in the first part.
        seed: Of the hash.

    Returns:
        The positions of both parts, ascending.
    """
    words = np.ascontiguousarray(keys).view("<u8")
    salt = np.frombuffer(derive_key("split", seed)[:16], "<u8")
    ranks = np.argsort(_mix(_mix(words[:, 0] ^ salt[0]) ^ words[:, 1] ^ salt[1]), kind="stable")
    cut = round(len(keys) * fraction)
    return np.sort(ranks[:cut]).astype(np.int64), np.sort(ranks[cut:]).astype(np.int64)


def split_fingerprint(fingerprint: str, indices: Indices) -> str:
    """The fingerprint of some of a dataset's samples."""
    return blake3(bytes.fromhex(fingerprint) + indices.astype("<i8").tobytes()).hexdigest()


def _mix(words: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom generators, 2014)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray[Any, Any] = words ^ (words >> np.uint64(31))
    return mixed
