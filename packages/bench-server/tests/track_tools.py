"""Tracks for tests of the server: whole files of records."""

from collections.abc import Sequence

from bench_track.records import MAGIC, pack_points, pack_shape

WRITER = "0-17-5e0c2a91"


def points_file(values: Sequence[float], name: str = "loss", *, first_step: int = 0, order: int = 0) -> bytes:
    """A track with one series."""
    packed = [MAGIC, pack_shape(1, [name])]
    for step, value in enumerate(values, first_step):
        packed.append(
            pack_points(
                1, step=step, time=step * 1000, values=[value], order=order, epoch=step // 10, batch=step % 10
            )
        )
    return b"".join(packed)
