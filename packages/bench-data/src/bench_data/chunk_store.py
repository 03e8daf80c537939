"""The chunks of a dataset, opened when needed."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from bench_data.chunk_file import ChunkFile
from bench_data.chunk_reader import Chunk, ChunkRow, open_chunk
from bench_data.label_columns import Part, stack
from bench_data.label_tree import Tree


class ChunkStore:
    """Reads samples by their number. Pickles without its open chunks; safe to use after a fork.

    Args:
        rows: The chunks.
        starts: The number of each one's first sample, and the total, int64 (C + 1,).
        tree: The structure of the labels.
        with_files: Whether a sample is (label, files) or the label alone.
    """

    def __init__(
        self, rows: Sequence[ChunkRow], starts: np.ndarray[Any, Any], tree: Tree, *, with_files: bool
    ) -> None:
        self.rows = rows
        self.starts = starts
        self.tree = tree
        self.with_files = with_files
        self._prepare()

    def _prepare(self) -> None:
        # Python's bisect on a list of ints is several times faster than numpy for one number.
        self._edges: list[int] = self.starts.tolist()
        self._chunks: dict[int, Chunk] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def chunk(self, number: int) -> Chunk:
        """A chunk of the dataset."""
        chunk = self._chunks.get(number)
        if chunk is None:
            chunk = self._chunks[number] = open_chunk(self.rows[number])
        chunk.used = True
        return chunk

    def read(self, indices: Iterable[int]) -> list[Any]:
        """Samples: (label, files) each, or the label alone where the dataset has no files.

        Args:
            indices: Their numbers, each in range.
        """
        edges, with_files, samples = self._edges, self.with_files, []
        for index in indices:
            number = bisect_right(edges, index) - 1
            chunk = self.chunk(number)
            row = index - edges[number]
            label = chunk.labels.read(row)
            if with_files:
                label = (label, [ChunkFile(chunk, file) for file in chunk.file_numbers(row)])
            samples.append(label)
        return samples

    def stacked(self, indices: np.ndarray[Any, Any]) -> Any:
        """Labels of several samples, every leaf stacked.

        Args:
            indices: Their numbers, int64 (B,), each in range.
        """
        if len(indices) > 1 and (indices[1:] - indices[:-1] == 1).all():
            parts = list(self._slices(indices.item(0), indices.item(-1) + 1))
            return stack(self.tree, parts, None, len(indices))
        numbers = self.starts.searchsorted(indices, "right") - 1
        places = None
        if (numbers[1:] < numbers[:-1]).any():
            # A stable sort of 16-bit integers is a radix sort, four times faster.
            small = numbers.astype(np.int16) if len(self.rows) < 1 << 15 else numbers
            order = small.argsort(kind="stable")
            numbers, indices = numbers[order], indices[order]
            places = np.empty_like(order)
            places[order] = np.arange(len(order))
        return stack(self.tree, self._parts(numbers, indices), places, len(indices))

    def _slices(self, first: int, last: int) -> Iterator[Part]:
        """What to take from each chunk for samples [first, last)."""
        edges, at = self._edges, first
        while at < last:
            number = bisect_right(edges, at) - 1
            start, end = edges[number], min(last, edges[number + 1])
            yield Part(self.chunk(number), slice(at - start, end - start), at - first, end - first)
            at = end

    def _parts(self, numbers: np.ndarray[Any, Any], indices: np.ndarray[Any, Any]) -> list[Part]:
        """What to take from each chunk; `numbers` are the chunks of `indices`, ascending."""
        if not len(numbers):
            return []
        rows = indices - self.starts[numbers]
        edges = [0, *(np.flatnonzero(numbers[1:] != numbers[:-1]) + 1).tolist(), len(numbers)]
        chunks = numbers[edges[:-1]].tolist()
        return [
            Part(self.chunk(chunk), rows[start:stop], start, stop)
            for chunk, start, stop in zip(chunks, edges[:-1], edges[1:], strict=True)
        ]
