"""Labels out: reads them, one by one or stacked, from a chunk's columns (FORMAT.md, section 4)."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from bench_data import tensors
from bench_data.errors import FormatError
from bench_data.free_form import decode_free
from bench_data.label_tree import BYTES_KINDS, PYTHON_DTYPES, Leaf, Tree, make_builder, stored_leaves
from bench_data.zip_reader import StoredZip

Read = Callable[[int], Any]


class LeafColumn:
    """One leaf's column in one chunk.

    Args:
        file: The chunk.
        number: The leaf's number.
        leaf: The leaf.
        samples: Samples in the chunk.

    Raises:
        FormatError: The columns do not fit the leaf or each other.
    """

    def __init__(self, file: StoredZip, number: int, leaf: Leaf, samples: int) -> None:
        name = f"labels/{number}"
        self.leaf = leaf
        self.values = file.column(name)
        self.starts: np.ndarray[Any, Any] | None = None
        self.shapes: np.ndarray[Any, Any] | None = None
        if file.has_column(f"{name}.starts"):
            self.starts = file.column(f"{name}.starts")
        if file.has_column(f"{name}.shapes"):
            self.shapes = file.column(f"{name}.shapes")
        if self.values.dtype != leaf.stored_dtype or not self._fits(samples):
            raise FormatError(f"{file.path}, {name}.npy: does not fit the label tree")
        self.row_shape = self.values.shape[1:] if self.starts is None else None
        """The shape that all values have, or None if each has its own."""

    def _fits(self, samples: int) -> bool:
        if self.starts is None:
            return self.values.shape[:1] == (samples,) and self.values.ndim == 1 + self.leaf.ndim
        starts = self.starts
        if starts.shape != (samples + 1,) or self.values.ndim != 1 or starts.dtype != np.dtype("<u8"):
            return False
        if starts[0] != 0 or starts[-1] != len(self.values) or (starts[1:] < starts[:-1]).any():
            return False
        if self.shapes is None:
            return self.leaf.ndim == 1 or self.leaf.kind in BYTES_KINDS
        lengths = self.shapes.prod(axis=1) if self.shapes.shape == (samples, self.leaf.ndim) else None
        return lengths is not None and bool((lengths == np.diff(starts)).all())

    def reader(self) -> Read:
        """A function that gives sample i's value, as a copy."""
        if self.starts is not None:
            return self._ragged_reader()
        kind, values = self.leaf.kind, self.values
        if kind == "complex":
            return lambda at: values[at].item()
        if kind in PYTHON_DTYPES:
            return values.data.__getitem__  # gives Python numbers, several times faster than numpy
        if kind == "scalar":
            return values.__getitem__
        if kind == "tensor":
            dtype = self.leaf.dtype
            return lambda at: tensors.from_numpy(values[at, ...].copy(), dtype)
        return lambda at: values[at, ...].copy()

    def _ragged_reader(self) -> Read:
        assert self.starts is not None
        starts, values, kind = self.starts.data, self.values, self.leaf.kind
        if kind in BYTES_KINDS:
            data = values.data
            decodes: dict[str, Callable[[bytes], Any]] = {
                "str": _decode_str,
                "bytes": bytes,
                "free": decode_free,
            }
            decode = decodes[kind]
            return lambda at: decode(bytes(data[starts[at] : starts[at + 1]]))
        shapes = self.shapes

        def read(at: int) -> np.ndarray[Any, Any]:
            array = values[starts[at] : starts[at + 1]].copy()
            return array if shapes is None else array.reshape(shapes[at].tolist())

        if kind == "tensor":
            dtype = self.leaf.dtype
            return lambda at: tensors.from_numpy(read(at), dtype)
        return read


class LabelColumns:
    """All labels of one chunk.

    Args:
        file: The chunk.
        tree: The structure of its labels.
        samples: Samples in the chunk.
    """

    def __init__(self, file: StoredZip, tree: Tree, samples: int) -> None:
        leaves = enumerate(stored_leaves(tree))
        self.columns = [LeafColumn(file, number, leaf, samples) for number, leaf in leaves]
        self.read: Read = make_builder(tree, iter([column.reader() for column in self.columns]))
        """Gives the label of sample i of this chunk; arrays and tensors are writable copies."""


class HasLabels(Protocol):
    """A chunk."""

    @property
    def labels(self) -> LabelColumns:
        """Its labels."""


class Part(NamedTuple):
    """Which labels of one chunk go into places [start, stop) of a gathered batch.

    Args:
        chunk: Has the labels. Asked for each leaf anew, so that not all chunks need to be open at once.
        rows: Numbers of samples in the chunk, int64 (stop - start,), or a slice if they follow each other.
    """

    chunk: HasLabels
    rows: np.ndarray[Any, Any] | slice
    start: int
    stop: int


def stack(tree: Tree, parts: Sequence[Part], places: np.ndarray[Any, Any] | None, count: int) -> Any:
    """Gather labels from several chunks, every leaf stacked.

    Args:
        tree: The structure of the labels.
        parts: What to gather, one place after the other.
        places: The place that each label of the result was gathered to, int64 (count,); None: the same.
        count: Labels in the result.

    Returns:
        The tree, with arrays (count, *shape), or tensors for tensor leaves; lists where shapes differ.
    """
    leaves = stored_leaves(tree)
    stacked = [_stack_leaf(leaf, number, parts, places, count) for number, leaf in enumerate(leaves)]
    constants: list[Callable[[Any], Any]] = [lambda _, value=value: value for value in stacked]  # type: ignore[misc]
    return make_builder(tree, iter(constants))(None)


def _stack_leaf(
    leaf: Leaf, number: int, parts: Sequence[Part], places: np.ndarray[Any, Any] | None, count: int
) -> Any:
    shape = parts[0].chunk.labels.columns[number].row_shape if parts else ()
    if leaf.kind in BYTES_KINDS or shape is None:
        return _stack_ragged(leaf, number, parts, places)
    result = np.empty((count, *shape), leaf.stored_dtype)
    for chunk, rows, start, stop in parts:
        column = chunk.labels.columns[number]
        if column.row_shape != shape:
            return _stack_ragged(leaf, number, parts, places)
        if isinstance(rows, slice):
            result[start:stop] = column.values[rows]
        else:
            # The rows are in range; with mode="raise" numpy would gather into a buffer first.
            column.values.take(rows, axis=0, out=result[start:stop], mode="clip")
    if places is not None:
        result = result.take(places, axis=0)
    return tensors.from_numpy(result, leaf.dtype) if leaf.kind == "tensor" else result


def _stack_ragged(leaf: Leaf, number: int, parts: Sequence[Part], places: np.ndarray[Any, Any] | None) -> Any:
    gathered: list[Any] = []
    for part in parts:
        rows = part.rows
        each = range(rows.start, rows.stop) if isinstance(rows, slice) else rows.tolist()
        gathered += list(map(part.chunk.labels.columns[number].reader(), each))
    if places is not None:
        gathered = [gathered[place] for place in places.tolist()]
    if leaf.kind in BYTES_KINDS or len({value.shape for value in gathered}) > 1:
        return gathered
    if leaf.kind == "tensor":  # by their bits: torch does not stack every dtype
        bits = np.stack([tensors.to_numpy(value) for value in gathered])
        return tensors.from_numpy(bits, leaf.dtype)
    return np.stack(gathered).astype(leaf.stored_dtype, copy=False)  # np.stack loses a foreign byte order


def _decode_str(data: bytes) -> str:
    return data.decode(errors="surrogatepass")
