"""Points and buckets as they are stored: numpy's records, little-endian, one behind the other. Pure."""

import numpy as np
from numpy.typing import NDArray

POINT = np.dtype([("step", "<i8"), ("time", "<i8"), ("value", "<f8")])
"""A point; `time` is Unix's, in nanoseconds."""

BATCH = np.dtype([("order", "<u4"), ("epoch", "<u4"), ("batch", "<u4")])
"""The batch that the loader had yielded last at a point; order 0: not known."""

BUCKET = np.dtype(
    [("first_step", "<i8"), ("last_step", "<i8"), ("min", "<f8"), ("max", "<f8"), ("last", "<f8")]
)
"""Some points in a row: the least and the greatest step; of the finite values the least, the greatest and the
last, NaN where there is none."""

SMALL_BLOCK = 256
"""Points of a block while its series is written: no more than so many are written again."""

BLOCK = 4096
"""Points of a block that is complete."""

FACTOR = 16
"""A bucket stands for so many of the level below; level 0 is the points."""

PAGE = 256
"""Buckets of a row."""

Points = NDArray[np.void]
Batches = NDArray[np.void]
Buckets = NDArray[np.void]


def points_of(data: bytes | memoryview) -> Points:
    """Stored points."""
    return np.frombuffer(data, POINT)


def batches_of(data: bytes | memoryview, count: int) -> Batches:
    """The stored batches of so many points."""
    return np.frombuffer(data, BATCH) if len(data) else np.zeros(count, BATCH)


def packed_batches(batches: Batches) -> bytes:
    """Batches to be stored: nothing where none is known."""
    return batches.tobytes() if batches["order"].any() else b""


def buckets_of_points(points: Points) -> Buckets:
    """Each point as a bucket of its own."""
    found = np.empty(len(points), BUCKET)
    found["first_step"] = found["last_step"] = points["step"]
    finite = np.where(np.isfinite(points["value"]), points["value"], np.nan)
    found["min"] = found["max"] = found["last"] = finite
    return found


def merged(buckets: Buckets, starts: NDArray[np.intp]) -> Buckets:
    """Buckets in groups, each group as one.

    Args:
        buckets: At least one.
        starts: Where each group begins, ascending from 0.
    """
    found = np.empty(len(starts), BUCKET)
    found["first_step"] = np.minimum.reduceat(buckets["first_step"], starts)
    found["last_step"] = np.maximum.reduceat(buckets["last_step"], starts)
    found["min"] = np.fmin.reduceat(buckets["min"], starts)
    found["max"] = np.fmax.reduceat(buckets["max"], starts)
    places = np.where(np.isnan(buckets["last"]), -1, np.arange(len(buckets)))
    latest = np.maximum.reduceat(places, starts)  # the group's last finite one, or of an earlier group none
    found["last"] = np.where(latest >= 0, buckets["last"][latest], np.nan)
    return found


def level_above(buckets: Buckets) -> Buckets:
    """The next level of whole groups of FACTOR buckets."""
    return merged(buckets, np.arange(0, len(buckets), FACTOR))
