"""Joins samples to a batch as torch does, and lists what torch cannot join."""

from collections.abc import Iterable
from typing import Any

from torch.utils.data._utils.collate import collate, default_collate_fn_map

from bench_data.chunk_file import ChunkFile


def _as_list(batch: Iterable[Any], *, collate_fn_map: Any = None) -> list[Any]:
    return list(batch)


_FUNCTIONS = {**default_collate_fn_map, ChunkFile: _as_list, type(None): _as_list}


def collate_samples(batch: list[Any]) -> Any:
    """Torch's default collate, but None and ChunkFile stay as lists.

    Args:
        batch: Samples.
    """
    return collate(batch, collate_fn_map=_FUNCTIONS)
