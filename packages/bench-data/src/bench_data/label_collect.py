"""Labels in: collects labels into columns, and makes their digests (FORMAT.md, sections 4 and 5)."""

import itertools
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from blake3 import blake3

from bench_data.label_append import make_append, make_leaf_append
from bench_data.label_tree import (
    BYTES_KINDS,
    PYTHON_DTYPES,
    Branch,
    Leaf,
    Tree,
    sorted_tree,
    stored_leaves,
    tree_to_json,
)
from bench_data.stored_zip import StoredZipWriter, canonical_json

DIGEST_BYTES = 16


@dataclass(frozen=True)
class Piece:
    """One leaf's values of `count` consecutive samples.

    `shape` is the shape that all have, or None; then `shapes` has one row a sample.
    """

    count: int
    data: bytes
    shape: tuple[int, ...] | None
    shapes: np.ndarray[Any, Any]

    def table(self) -> np.ndarray[Any, Any]:
        """Each sample's encoding as a row of bytes, where all have one shape."""
        prefix = np.frombuffer(struct.pack(f"<{len(self.shape or ())}Q", *(self.shape or ())), np.uint8)
        values = np.frombuffer(self.data, np.uint8).reshape(self.count, -1)
        return np.hstack([np.tile(prefix, (self.count, 1)), values])

    def rows(self, itemsize: int) -> Iterator[bytes]:
        """Each sample's encoding, as label digests are made of."""
        if self.shape is not None:
            prefix = struct.pack(f"<{len(self.shape)}Q", *self.shape)
            step = itemsize * _product(self.shape)
            return (prefix + self.data[i * step : (i + 1) * step] for i in range(self.count))
        ends = itertools.accumulate((self.shapes.prod(axis=1) * itemsize).tolist(), initial=0)
        prefixes = self.shapes.astype("<u8")
        return (
            prefixes[i].tobytes() + self.data[start:end]
            for i, (start, end) in enumerate(itertools.pairwise(ends))
        )


class LeafCollector:
    """Collects one leaf's values. Values are copied at once: a processor may reuse its array."""

    def __init__(self, leaf: Leaf) -> None:
        self.leaf = leaf
        self.dtype = leaf.stored_dtype
        self._values: list[Any] = []
        self._shapes: list[tuple[int, ...]] = []
        self.append = make_leaf_append(leaf, self._values, self._shapes)

    def take(self) -> Piece:
        """What was collected since the last call."""
        leaf, values, shapes = self.leaf, self._values, self._shapes
        count = len(values)
        numbers = leaf.kind in PYTHON_DTYPES
        data = np.array(values, self.dtype).tobytes() if numbers else b"".join(values)
        if leaf.kind in BYTES_KINDS:
            lengths = np.fromiter(map(len, values), np.int64, count)
            shape, table = None, lengths.reshape(count, 1)
        elif all(shape == shapes[0] for shape in shapes):
            shape, table = (shapes[0] if shapes else ()), np.empty((0, 0), np.int64)
        else:
            shape, table = None, np.array(shapes, np.int64).reshape(count, leaf.ndim)
        self._values.clear()
        self._shapes.clear()
        return Piece(count, data, shape, table)


class LabelCollector:
    """Collects the labels of the samples of one chunk, or of a scan.

    Args:
        tree: The structure that every label must have.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.leaves = [LeafCollector(leaf) for leaf in stored_leaves(tree)]
        self.append = make_append(tree, iter([leaf.append for leaf in self.leaves]))
        """Adds the next sample's label; raises LabelError if its structure differs or it cannot be stored,
        and the collector is then of no more use."""
        self._key = blake3(canonical_json(tree_to_json(sorted_tree(tree)))).digest()
        self._digest_order = _digest_order(tree)

    def take(self, count: int) -> tuple[list[Piece], list[bytes]]:
        """Each leaf's piece, and each sample's label digest, since the last call.

        Args:
            count: How many labels were added since.
        """
        pieces = [leaf.take() for leaf in self.leaves]
        ordered = [(pieces[at], self.leaves[at].dtype.itemsize) for at in self._digest_order]
        key = self._key
        return pieces, [blake3(row, key=key).digest(DIGEST_BYTES) for row in _encoded(ordered, count)]


def _encoded(pieces: Sequence[tuple[Piece, int]], count: int) -> Iterable[bytes]:
    """Each sample's encoding: its leaves' joined. The pieces come with their item sizes."""
    if pieces and count and all(piece.shape is not None for piece, _ in pieces):
        table = np.hstack([piece.table() for piece, _ in pieces])
        flat, step = table.tobytes(), table.shape[1]  # bytes are cut twice as fast as a view of them
        return [flat[at : at + step] for at in range(0, step * count, step)] if step else [b""] * count
    rows = [piece.rows(itemsize) for piece, itemsize in pieces]
    return map(b"".join, zip(*rows, strict=True)) if rows else [b""] * count


def write_label_columns(
    writer: StoredZipWriter, leaves: Sequence[Leaf], batches: Sequence[list[Piece]]
) -> None:
    """Write every leaf's columns.

    Args:
        writer: The chunk.
        leaves: The stored leaves, depth first.
        batches: What `LabelCollector.take` gave, one list of pieces a call.
    """
    for number, leaf in enumerate(leaves):
        pieces = [batch[number] for batch in batches if batch[number].count]
        _write_leaf(writer, f"labels/{number}", leaf, pieces)


def _write_leaf(writer: StoredZipWriter, name: str, leaf: Leaf, pieces: list[Piece]) -> None:
    count = sum(piece.count for piece in pieces)
    dtype = leaf.stored_dtype
    data = [piece.data for piece in pieces]
    first = pieces[0].shape
    if first is not None and all(piece.shape == first for piece in pieces):
        writer.add_column(name, dtype, (count, *first), data)
        return
    shapes = np.concatenate([_shape_table(piece) for piece in pieces])
    starts = np.concatenate([[0], np.cumsum(shapes.prod(axis=1))]).astype("<u8")
    writer.add_column(name, dtype, (int(starts[-1]),), data)
    writer.add_array(f"{name}.starts", starts)
    if leaf.ndim != 1 and leaf.kind not in BYTES_KINDS:
        writer.add_array(f"{name}.shapes", shapes.astype("<u8"))


def _shape_table(piece: Piece) -> np.ndarray[Any, Any]:
    if piece.shape is None:
        return piece.shapes
    return np.tile(np.array(piece.shape, np.int64), (piece.count, 1))


def _digest_order(tree: Tree) -> list[int]:
    """The numbers of the stored leaves in the order of the sorted tree, which digests are made in."""
    numbers = itertools.count()

    def number(tree: Tree) -> Tree:
        if isinstance(tree, Leaf):
            return tree if tree.kind == "none" else Leaf("numbered", str(next(numbers)))
        return Branch(tree.kind, tuple(map(number, tree.items)), tree.keys)

    return [int(leaf.dtype) for leaf in stored_leaves(sorted_tree(number(tree)))]


def _product(shape: tuple[int, ...]) -> int:
    result = 1
    for n in shape:
        result *= n
    return result
