"""Looks at single samples of a chunk, by ranges, wherever its bytes are.

For a server, which shows what strangers made: nothing is mapped, and neither what a label names is imported,
nor torch.
"""

import math
from collections.abc import Iterator
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np

from bench_data.chunk_reader import ChunkParts
from bench_data.errors import FormatError
from bench_data.free_form import decode_free
from bench_data.glimpse import (
    MAX_CHARACTERS,
    MAX_LEVELS,
    MAX_VALUES,
    MORE,
    Glimpse,
    Room,
    array_glimpse,
    bytes_glimpse,
    glimpse_of,
    limited,
    shortened,
)
from bench_data.label_tree import BYTES_KINDS, Branch, Leaf, Tree, stored_leaves
from bench_data.stored_zip import INDEX_DTYPE
from bench_data.tensors import is_stored_as_bits
from bench_data.zip_reader import ColumnRange, ZipRanges

FREE_BYTES = 1 << 16
"""A larger leaf of free structure is not decoded."""


class ChunkRanges(ChunkParts):
    """A chunk of which only what is asked for is read.

    Args:
        file: Its bytes.

    Raises:
        FormatError: It is not a chunk.
    """

    def __init__(self, file: ZipRanges) -> None:
        self._file = file
        self._columns: dict[str, ColumnRange] = {}
        super().__init__()

    @property
    def file(self) -> ZipRanges:
        """See ChunkParts."""
        return self._file

    @cached_property
    def _index(self) -> ColumnRange:
        return self._column("index", INDEX_DTYPE)

    def file_member(self, number: int) -> tuple[int, int, int]:
        """See ChunkParts."""
        offset, length, crc = self._index.values(number, 1)[0].tolist()
        return offset, length, crc

    def file_starts(self, sample: int) -> tuple[int, int]:
        """See ChunkParts."""
        start, stop = self._column("file_starts").values(sample, 2).tolist()
        return start, stop

    def file_beginning(self, number: int, length: int) -> bytes:
        """The first bytes of a file, not verified."""
        offset, whole, _ = self.file_member(number)
        return self.file.pread(offset, min(length, whole))

    def label(self, sample: int) -> Glimpse:
        """A glimpse of a sample's label.

        Raises:
            FormatError: It cannot be read.
        """
        return self._glimpse(self.tree, sample, count(), Room(), MAX_LEVELS)

    def _glimpse(self, tree: Tree, sample: int, numbers: Iterator[int], room: Room, levels: int) -> Glimpse:
        if isinstance(tree, Leaf):
            return Glimpse("none", "None") if tree.kind == "none" else self._leaf(tree, sample, next(numbers))
        kind = tree.type.partition(":")[2] or tree.kind
        if not levels:
            for _ in stored_leaves(tree):
                next(numbers)
            return Glimpse(kind, items=(MORE,))
        return Glimpse(kind, items=limited(self._items(tree, sample, numbers, room, levels), room))

    def _items(
        self, tree: Branch, sample: int, numbers: Iterator[int], room: Room, levels: int
    ) -> Iterator[tuple[str, Glimpse]]:
        for key, item in zip(tree.keys or range(len(tree.items)), tree.items, strict=True):
            yield str(key), self._glimpse(item, sample, numbers, room, levels - 1)

    def _leaf(self, leaf: Leaf, sample: int, number: int) -> Glimpse:
        name = f"labels/{number}"
        column = self._column(name, leaf.stored_dtype)
        start, shape = self._place(name, column, leaf, sample)
        size = math.prod(shape)
        if leaf.kind == "free":
            return self._free(column, start, size)
        if leaf.kind in BYTES_KINDS:
            data = column.values(start, min(size, 4 * MAX_CHARACTERS)).tobytes()
            if leaf.kind == "bytes":
                return bytes_glimpse(data, size)
            return Glimpse("str", shortened(data.decode(errors="replace")))
        if leaf.kind not in ("array", "tensor"):
            return Glimpse(leaf.dtype or leaf.kind, str(column.values(start, 1)[0]))
        if leaf.kind == "tensor" and is_stored_as_bits(leaf.dtype):
            return array_glimpse(leaf.dtype, shape)
        first = column.values(start, min(size, MAX_VALUES))
        return array_glimpse(leaf.dtype if leaf.kind == "tensor" else str(column.dtype), shape, first)

    def _place(self, name: str, column: ColumnRange, leaf: Leaf, sample: int) -> tuple[int, tuple[int, ...]]:
        """Where a sample's values begin in a column, and their shape."""
        if not self.file.has_column(f"{name}.starts"):
            shape = column.shape[1:]
            return sample * math.prod(shape), shape
        start, stop = self._column(f"{name}.starts").values(sample, 2).tolist()
        if not self.file.has_column(f"{name}.shapes"):
            return start, (stop - start,)
        return start, tuple(self._column(f"{name}.shapes").values(sample * leaf.ndim, leaf.ndim).tolist())

    def _free(self, column: ColumnRange, start: int, size: int) -> Glimpse:
        if size > FREE_BYTES:
            return Glimpse(f"free form ({size} bytes)", "not shown")
        return glimpse_of(decode_free(column.values(start, size).tobytes(), _tensor))

    def _column(self, name: str, dtype: np.dtype[Any] | str = "<u8") -> ColumnRange:
        found = self._columns.get(name)
        if found is None:
            found = self._columns[name] = self.file.column_range(name)
            if found.dtype != np.dtype(dtype):
                raise FormatError(f"{self.file.path}, {name}.npy: does not fit the header")
        return found


def _tensor(array: np.ndarray[Any, Any], dtype: str) -> Glimpse:
    """A tensor in a leaf of free structure, without torch."""
    if is_stored_as_bits(dtype):
        return array_glimpse(dtype, array.shape)
    return array_glimpse(dtype, array.shape, array.reshape(-1)[:MAX_VALUES])
