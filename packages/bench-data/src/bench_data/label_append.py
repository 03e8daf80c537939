"""Checks labels against the structure that all have, and hands their leaves to lists."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from bench_data import tensors
from bench_data.errors import LabelError
from bench_data.free_form import encode_free
from bench_data.label_tree import PYTHON_DTYPES, Branch, Leaf, Tree, describe, infer_tree

Append: TypeAlias = Callable[[Any], None]


def make_append(tree: Tree, leaves: Iterator[Append]) -> Append:
    """Compile a tree into one function that takes a label.

    Args:
        tree: The structure that every label must have.
        leaves: What takes each stored leaf, depth first.

    Returns:
        A function that raises LabelError if the label's structure differs.
    """
    if isinstance(tree, Leaf):
        return _none_append(tree) if tree.kind == "none" else next(leaves)
    items = [make_append(item, leaves) for item in tree.items]
    if tree.kind == "dict":
        return _dict_append(tree, items)
    return _sequence_append(tree, items)


def make_leaf_append(leaf: Leaf, values: list[Any], shapes: list[tuple[int, ...]]) -> Append:
    """A function that appends a leaf's value to a list, as a copy: a processor may reuse its array.

    Args:
        leaf: The leaf.
        values: Gets the value: a Python number as it is, everything else as bytes.
        shapes: Gets the shape of an array or tensor.
    """
    if leaf.kind in PYTHON_DTYPES:
        return _number_append(leaf, values)
    if leaf.kind == "array":
        return _array_append(leaf, values, shapes)
    if leaf.kind == "tensor":
        return _tensor_append(leaf, values, shapes)
    encode = _ENCODE[leaf.kind]

    def append(value: Any) -> None:
        if infer_tree(value) != leaf:
            raise _mismatch(leaf, value)
        values.append(encode(value))

    return append


_ENCODE: dict[str, Callable[[Any], bytes]] = {
    "str": lambda value: str(value).encode(errors="surrogatepass"),
    "bytes": bytes,
    "free": lambda value: encode_free(value.value),
    "scalar": lambda value: bytes(value.tobytes()),
}


def _none_append(leaf: Leaf) -> Append:
    def append(value: Any) -> None:
        if value is not None:
            raise _mismatch(leaf, value)

    return append


def _number_append(leaf: Leaf, values: list[Any]) -> Append:
    kind, _ = PYTHON_DTYPES[leaf.kind]
    low, high = (-(2**63), 2**63 - 1) if kind is int else (None, None)
    add = values.append

    def append(value: Any) -> None:
        if type(value) is not kind:
            if infer_tree(value) != leaf:
                raise _mismatch(leaf, value)
            value = kind(value)
        if low is not None and not low <= value <= high:
            hint = "Give it as a string or a numpy scalar."
            raise LabelError(f"the integer {value} does not fit 64 bits", hint=hint)
        add(value)

    return append


def _array_append(leaf: Leaf, values: list[Any], shapes: list[tuple[int, ...]]) -> Append:
    dtype, ndim = leaf.stored_dtype, leaf.ndim
    add, add_shape = values.append, shapes.append

    def append(value: Any) -> None:
        unusual = type(value) is not np.ndarray or value.dtype != dtype or value.ndim != ndim
        if unusual and infer_tree(value) != leaf:
            raise _mismatch(leaf, value)
        add_shape(value.shape)
        add(value.tobytes())

    return append


def _tensor_append(leaf: Leaf, values: list[Any], shapes: list[tuple[int, ...]]) -> Append:
    known: Any = None  # the torch dtype, once a tensor with the right name has been seen

    def append(value: Any) -> None:
        nonlocal known
        if not tensors.is_tensor(value) or value.dtype is not known or value.ndim != leaf.ndim:
            if infer_tree(value) != leaf:
                raise _mismatch(leaf, value)
            known = value.dtype
        array = tensors.to_numpy(value)
        shapes.append(array.shape)
        values.append(array.tobytes())

    return append


def _sequence_append(tree: Branch, items: list[Append]) -> Append:
    kind = {"tuple": tuple, "list": list}.get(tree.kind)
    length = len(items)
    if length == 2:  # by far the most common
        first, second = items

        def append_two(label: Any) -> None:
            if (type(label) is not kind and not _same_branch(tree, label)) or len(label) != 2:
                raise _mismatch(tree, label)
            first(label[0])
            second(label[1])

        return append_two

    def append(label: Any) -> None:
        if (type(label) is not kind and not _same_branch(tree, label)) or len(label) != length:
            raise _mismatch(tree, label)
        for item, value in zip(items, label):  # noqa: B905 - the lengths were compared
            item(value)

    return append


def _dict_append(tree: Branch, items: list[Append]) -> Append:
    pairs = list(zip(tree.keys, items, strict=True))

    def append(label: Any) -> None:
        if not isinstance(label, dict) or len(label) != len(pairs):
            raise _mismatch(tree, label)
        for key, item in pairs:
            if key not in label:
                raise _mismatch(tree, label)
            item(label[key])

    return append


def _same_branch(tree: Branch, label: Any) -> bool:
    """The slow half of the check: subclasses and named tuples."""
    found = infer_tree(label)
    return isinstance(found, Branch) and (found.kind, found.keys, found.type) == (
        tree.kind,
        tree.keys,
        tree.type,
    )


def _mismatch(tree: Tree, value: Any) -> LabelError:
    try:
        found = describe(infer_tree(value))
    except LabelError as error:
        return error
    return LabelError(
        f"a label's structure changed: {found} where other samples have {describe(tree)}",
        hint="Convert all labels to one structure and dtype, or mark what varies with FreeForm(...).",
    )
