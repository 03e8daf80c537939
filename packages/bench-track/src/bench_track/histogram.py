"""Counts the values of arrays, tensors and lists in bins."""

import math
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bench_track.errors import ValueLogError


@dataclass(frozen=True, kw_only=True)
class Bins:
    """A histogram.

    Args:
        edges: Of the bins, ascending (B + 1,).
        counts: Of the values in each (B,).
        least: The least finite value; None without one.
        most: The largest.
        mean: Of the finite ones.
        nan: How many were NaN.
        inf: How many were infinite.
    """

    edges: Sequence[float]
    counts: Sequence[float]
    least: float | None
    most: float | None
    mean: float | None
    nan: int = 0
    inf: int = 0

    @classmethod
    def of_counts(cls, edges: list[float], counts: list[float]) -> "Bins":
        """Counted elsewhere: what the bins tell of the values."""
        total = sum(counts)
        middles = [(low + high) / 2 for low, high in pairwise(edges)]
        weighted = sum(middle * count for middle, count in zip(middles, counts, strict=True))
        mean = weighted / total if total else None
        return cls(edges=edges, counts=counts, least=edges[0], most=edges[-1], mean=mean)

    def summary(self) -> dict[str, Any]:
        """What the header of a media record says."""
        return {
            "bins": len(self.counts),
            "count": sum(self.counts) + self.nan + self.inf,
            "min": self.least,
            "max": self.most,
            "mean": self.mean,
            "nan": self.nan,
            "inf": self.inf,
        }

    def pack(self) -> bytes:
        """Edges and counts, as doubles."""
        return struct.pack(f"<{len(self.edges) + len(self.counts)}d", *self.edges, *self.counts)


def count_values(values: Any, bins: int) -> Bins:
    """Count in bins of equal width between the least and the largest finite value.

    Raises:
        ValueLogError: They are no numbers.
    """
    numpy: Any = sys.modules.get("numpy")
    if hasattr(values, "detach"):  # a tensor
        values = values.detach().cpu().double()
        values = values.reshape(-1).numpy() if numpy is not None else values.reshape(-1).tolist()
    try:
        if numpy is not None:
            return _count_array(numpy, numpy.asarray(values, float).reshape(-1), bins)
        return _count_list([float(value) for value in values], bins)
    except (TypeError, ValueError):
        raise ValueLogError(
            f"a {type(values).__name__} is no histogram's values", hint="Give numbers, of any shape."
        ) from None


def _count_array(numpy: Any, values: Any, bins: int) -> Bins:
    finite = values[numpy.isfinite(values)]
    nan = int(numpy.isnan(values).sum())
    if not len(finite):
        return _nothing(bins, nan, len(values) - nan)
    least, most = float(finite.min()), float(finite.max())
    edges = _edges(least, most, bins)
    counts, _ = numpy.histogram(finite, numpy.array(edges))
    return Bins(
        edges=edges,
        counts=counts.tolist(),
        least=least,
        most=most,
        mean=float(finite.mean()),
        nan=nan,
        inf=len(values) - nan - len(finite),
    )


def _count_list(values: list[float], bins: int) -> Bins:
    finite = [value for value in values if math.isfinite(value)]
    nan = sum(value != value for value in values)
    if not finite:
        return _nothing(bins, nan, len(values) - nan)
    least, most = min(finite), max(finite)
    edges = _edges(least, most, bins)
    counts = [0] * bins
    for value in finite:
        counts[min(bins - 1, int((value - edges[0]) / (edges[-1] - edges[0]) * bins))] += 1
    return Bins(
        edges=edges,
        counts=counts,
        least=least,
        most=most,
        mean=sum(finite) / len(finite),
        nan=nan,
        inf=len(values) - nan - len(finite),
    )


def _edges(least: float, most: float, bins: int) -> list[float]:
    """As numpy's: values that are all equal lie in the middle of an interval of 1."""
    if least == most:
        least, most = least - 0.5, most + 0.5
    return [least + (most - least) * (place / bins) for place in range(bins)] + [most]


def _nothing(bins: int, nan: int, inf: int) -> Bins:
    return Bins(
        edges=_edges(0, 1, bins), counts=[0] * bins, least=None, most=None, mean=None, nan=nan, inf=inf
    )
