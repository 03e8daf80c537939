"""The structure of a label: a tree of tuples, lists, dicts and leaves (FORMAT.md, section 4)."""

import importlib
import json
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from bench_data import tensors
from bench_data.errors import FormatError, LabelError

PYTHON_DTYPES: dict[str, tuple[type, str]] = {
    "bool": (bool, "|b1"),
    "int": (int, "<i8"),
    "float": (float, "<f8"),
    "complex": (complex, "<c16"),
}
BYTES_KINDS = ("str", "bytes", "free")
MAX_LEVELS = 100
"""Of nesting: far below the depth at which Python gives up."""


@dataclass(frozen=True)
class FreeForm:
    """Marks a label, or a part of one, whose structure may change from sample to sample.

    It is read back as the plain value. Example: COCO targets, a list of as many dicts as there are objects:
    `return FreeForm(targets)`.

    Args:
        value: Any tree of numbers, bools, strings, bytes, None, numpy arrays and tensors. A named tuple in it
            comes back as a tuple.
    """

    value: Any


@dataclass(frozen=True)
class Leaf:
    """One value a sample: its kind, and its dtype and number of dimensions where the kind has them."""

    kind: str
    dtype: str = ""
    ndim: int = 0

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """The dtype of the leaf's column."""
        if self.kind in PYTHON_DTYPES:
            return np.dtype(PYTHON_DTYPES[self.kind][1])
        if self.kind in BYTES_KINDS:
            return np.dtype("|u1")
        if self.kind == "tensor":
            return _tensor_dtype(self.dtype)
        return dtype_from_text(self.dtype)


@dataclass(frozen=True)
class Branch:
    """A tuple, list, dict or named tuple of trees.

    `keys` are a dict's keys or a named tuple's fields; `type` is a named tuple's `module:qualname`.
    """

    kind: str
    items: tuple["Tree", ...]
    keys: tuple[Any, ...] = ()
    type: str = ""


Tree: TypeAlias = Leaf | Branch


def infer_tree(label: Any, levels: int = MAX_LEVELS) -> Tree:
    """The tree of a label.

    Args:
        label: The label.
        levels: How deep it may be nested.

    Raises:
        LabelError: It holds something that cannot be stored.
    """
    leaf = _infer_leaf(label)
    if leaf is not None:
        return leaf
    if not isinstance(label, (dict, tuple, list)):
        raise LabelError(
            f"a label holds a {type(label).__module__}.{type(label).__qualname__}, which cannot be stored",
            hint="Labels are trees (tuple, list, dict, named tuple) of numbers, bools, strings, bytes, None, "
            "numpy arrays and tensors.",
        )
    if not levels:
        raise LabelError(f"a label is nested more than {MAX_LEVELS} levels deep, or holds itself")
    values = label.values() if isinstance(label, dict) else label
    items = tuple(infer_tree(value, levels - 1) for value in values)
    if isinstance(label, dict):
        if not all(map(_is_key, label)):
            raise LabelError(
                f"the keys of a label's dict are {list(label)!r}; strings of UTF-8 and integers can be stored"
            )
        return Branch("dict", items, tuple(label))
    kind = type(label)
    if isinstance(label, tuple) and hasattr(label, "_fields"):
        return Branch("namedtuple", items, tuple(label._fields), f"{kind.__module__}:{kind.__qualname__}")
    return Branch("tuple" if isinstance(label, tuple) else "list", items)


def _infer_leaf(label: Any) -> Leaf | None:
    if label is None:
        return Leaf("none")
    if isinstance(label, FreeForm):
        return Leaf("free")
    if isinstance(label, str):  # before numpy: numpy.str_ is both, and its dtype changes with its length
        return Leaf("str")
    if isinstance(label, bytes):
        return Leaf("bytes")
    if isinstance(label, (np.generic, np.ndarray)):
        check_array(label)
        kind = "scalar" if isinstance(label, np.generic) else "array"
        return Leaf(kind, _dtype_text(label.dtype), label.ndim)
    if tensors.is_tensor(label):
        return Leaf("tensor", tensors.dtype_name(label), label.ndim)
    return next((Leaf(name) for name, (kind, _) in PYTHON_DTYPES.items() if isinstance(label, kind)), None)


def check_array(array: np.ndarray[Any, Any] | np.generic) -> None:
    """Refuse what would not come back from an `.npy` file as it was given.

    Raises:
        LabelError: It holds Python objects, is masked, or its dtype cannot be written down: one with padding.
    """
    dtype = array.dtype
    if dtype.hasobject:
        raise LabelError("a label is a numpy array of Python objects, which cannot be stored")
    if type(array) is not np.ndarray and isinstance(array, np.ma.MaskedArray):
        raise LabelError("a label is a masked array, which cannot be stored", hint="Give data and mask.")
    try:
        text = _dtype_text(dtype)
        value = json.loads(json.dumps(ast_list(text))) if dtype.names else None
        exact = bool(text.encode("latin1")) and np.dtype(_descr(value) if dtype.names else text) == dtype
    except (ValueError, TypeError):
        exact = False
    if not exact:
        hint = "numpy.lib.recfunctions.repack_fields removes padding."
        raise LabelError(f"a label has the numpy dtype {dtype}, which cannot be stored", hint=hint)


def _is_key(key: Any) -> bool:
    if isinstance(key, str):
        return not any("\ud800" <= character <= "\udfff" for character in key)
    return key is None or isinstance(key, int)


def stored_leaves(tree: Tree) -> list[Leaf]:
    """The leaves that have columns, depth first."""
    if isinstance(tree, Leaf):
        return [] if tree.kind == "none" else [tree]
    return [leaf for item in tree.items for leaf in stored_leaves(item)]


def sorted_tree(tree: Tree) -> Tree:
    """The tree with the keys of its dicts in one order: what digests are made of."""
    if isinstance(tree, Leaf):
        return tree
    items = tuple(map(sorted_tree, tree.items))
    if tree.kind != "dict":
        return Branch(tree.kind, items, tree.keys, tree.type)
    pairs = sorted(
        zip(tree.keys, items, strict=True), key=lambda pair: (type(pair[0]).__name__, str(pair[0]))
    )
    return Branch("dict", tuple(item for _, item in pairs), tuple(key for key, _ in pairs))


def tree_to_json(tree: Tree) -> dict[str, Any]:
    """The tree as FORMAT.md writes it."""
    if isinstance(tree, Leaf):
        value: dict[str, Any] = {"kind": tree.kind}
        if tree.kind in ("scalar", "array", "tensor"):
            text = tree.dtype
            value["dtype"] = ast_list(text) if text.startswith("[") else text
        if tree.kind in ("array", "tensor"):
            value["ndim"] = tree.ndim
        return value
    value = {"kind": tree.kind, "items": [tree_to_json(item) for item in tree.items]}
    if tree.kind == "dict":
        value["keys"] = list(tree.keys)
    if tree.kind == "namedtuple":
        value |= {"type": tree.type, "fields": list(tree.keys)}
    return value


def tree_from_json(value: Any, levels: int = MAX_LEVELS) -> Tree:
    """The tree that was written.

    Raises:
        FormatError: It is not one.
    """
    if levels < 0:
        raise FormatError(f"not a label tree: it is nested more than {MAX_LEVELS} levels deep")
    try:
        kind = value["kind"]
        if kind in ("tuple", "list", "dict", "namedtuple"):
            items = tuple(tree_from_json(item, levels - 1) for item in value["items"])
            keys = tuple(value.get("keys" if kind == "dict" else "fields", ()))
            if kind in ("dict", "namedtuple") and len(keys) != len(items):
                raise ValueError
            if kind == "dict" and (len(set(keys)) != len(keys) or not all(map(_is_key, keys))):
                raise ValueError
            if kind == "namedtuple":
                namedtuple(_class_name(value["type"]), keys)  # raises if a name will not do
            return Branch(kind, items, keys, value.get("type", ""))
        dtype = value.get("dtype", "")
        leaf = Leaf(kind, dtype if isinstance(dtype, str) else repr(_descr(dtype)), int(value.get("ndim", 0)))
        if kind != "none" and leaf.stored_dtype.hasobject:
            raise ValueError
    except (KeyError, TypeError, ArithmeticError, ValueError, AttributeError, SyntaxError, MemoryError):
        raise FormatError(f"not a label tree: {str(value)[:200]}") from None
    return leaf


def _class_name(name: str) -> str:
    """The last part of `module:qualname`."""
    return name.partition(":")[2].rpartition(".")[2]


def describe(tree: Tree) -> str:
    """The tree in a few words, for messages."""
    if isinstance(tree, Leaf):
        dimensions = f" of {tree.ndim} dimensions" if tree.kind in ("array", "tensor") else ""
        return f"{tree.kind} {tree.dtype}{dimensions}".replace("  ", " ").strip()
    if tree.kind == "dict":
        inside = ", ".join(f"{k!r}: {describe(v)}" for k, v in zip(tree.keys, tree.items, strict=True))
        return f"{{{inside}}}"
    inside = ", ".join(map(describe, tree.items))
    return f"{tree.type or tree.kind}({inside})"


def make_builder(tree: Tree, leaves: Iterator[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """Compile the tree into one function that builds a label.

    Args:
        tree: The structure.
        leaves: For each stored leaf, depth first, a function of the builder's argument that gives its value.

    Returns:
        A function of that argument (a sample's number, or many) that gives the label.
    """
    if isinstance(tree, Leaf):
        return (lambda _: None) if tree.kind == "none" else next(leaves)
    items = [make_builder(item, leaves) for item in tree.items]
    if tree.kind == "list":
        return lambda at: [item(at) for item in items]
    if tree.kind == "dict":
        pairs = list(zip(tree.keys, items, strict=True))
        return lambda at: {key: item(at) for key, item in pairs}
    if tree.kind == "namedtuple":
        make = _named_tuple(tree.type, tree.keys)
        return lambda at: make(*[item(at) for item in items])
    if len(items) == 2:  # by far the most common: (target, weight), (boxes, class)
        first, second = items
        return lambda at: (first(at), second(at))
    return lambda at: tuple([item(at) for item in items])


def _named_tuple(name: str, fields: tuple[str, ...]) -> Callable[..., Any]:
    """The user's class if it can be imported and has these fields, else one like it."""
    module, _, qualname = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
        if isinstance(found, type) and issubclass(found, tuple) and getattr(found, "_fields", None) == fields:
            return found
    except (ImportError, AttributeError, ValueError):
        pass
    return _stand_in(_class_name(name), fields)


@lru_cache
def _stand_in(name: str, fields: tuple[str, ...]) -> Callable[..., Any]:
    base = namedtuple(name, fields)  # type: ignore[misc]
    # Pickled by its definition, because no module holds it.
    reduce = {"__reduce__": lambda self: (_rebuild, (name, fields, tuple(self))), "__slots__": ()}
    return type(name, (base,), reduce)


def _rebuild(name: str, fields: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    return _stand_in(name, fields)(*values)


def _dtype_text(dtype: np.dtype[Any]) -> str:
    return repr(dtype.descr) if dtype.names else dtype.str


def dtype_from_text(text: str) -> np.dtype[Any]:
    """The dtype of `numpy.dtype(...).str`, or of a structured dtype's `descr` as text."""
    return np.dtype(_descr(ast_list(text)) if text.startswith("[") else text)


def ast_list(text: str) -> list[Any]:
    """A `descr` from its text, with lists for tuples as JSON has them."""
    import ast

    return list(ast.literal_eval(text))


def _descr(fields: Any) -> list[Any]:
    """A `descr` from JSON, where tuples have become lists."""
    return [
        (f[0], _descr(f[1]) if isinstance(f[1], list) else f[1], *(tuple(s) for s in f[2:])) for f in fields
    ]


@lru_cache
def _tensor_dtype(name: str) -> np.dtype[Any]:
    """The stored dtype of a torch dtype; of those that numpy has not, all but a few have one byte."""
    sizes = {"bfloat16": 2, "bits16": 2, "complex32": 4, "bcomplex32": 4}
    return tensors.stored_dtype(name, sizes.get(name, 1))
