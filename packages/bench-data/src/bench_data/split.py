"""Which part of a split a sample belongs to: pure."""

from typing import Any

import numpy as np
from blake3 import blake3

from bench_data.order import derive_key

Indices = np.ndarray[Any, np.dtype[np.int64]]


def split_positions(
    keys: np.ndarray[Any, np.dtype[np.uint8]], fraction: float, seed: int
) -> tuple[Indices, Indices]:
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
