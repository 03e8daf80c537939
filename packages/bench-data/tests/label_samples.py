"""Labels of every kind, for hypothesis, and a comparison that sees type, dtype, shape and every bit."""

import math
import struct
import tempfile
from collections import namedtuple
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from bench_data import ChunkDataset, WriteOptions, write_chunks
from data_samples import Labels
from hypothesis import strategies as st

Strategy = st.SearchStrategy[Any]


class Box(NamedTuple):
    left: Any
    right: Any


Local = namedtuple("Local", ["only"])

DTYPES = [
    np.dtype(text)
    for text in [
        "|b1",
        "|i1",
        "|u1",
        "<i2",
        ">i2",
        "<u2",
        ">i4",
        "<i4",
        "<u4",
        "<i8",
        ">i8",
        "<u8",
        "<f2",
        ">f2",
        "<f4",
        "<f8",
        ">f8",
        "<c8",
        "<c16",
        "|S3",
        "|V5",
    ]
]
DTYPES += [np.dtype(text) for text in ["<M8[ns]", "<M8[D]", ">M8[us]", "<m8[10s]", "<U2", ">U2"]]
DTYPES += [
    np.dtype([("a", "u1"), ("b", ">f4")]),
    np.dtype([("x", [("y", "<i2", (2,)), ("z", "S3")]), ("é", "<f8")]),
]
TENSOR_DTYPES = [
    found
    for name in [
        "bool",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "uint32",
        "int32",
        "uint64",
        "int64",
        "float16",
        "float32",
        "float64",
        "bfloat16",
        "complex32",
        "complex64",
        "complex128",
        "bcomplex32",
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e5m2",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
        "float4_e2m1fn_x2",
        "bits8",
        "bits16",
    ]
    if (found := getattr(torch, name, None)) is not None
]


def bits_array(dtype: np.dtype[Any], shape: Sequence[int], data: bytes) -> np.ndarray[Any, Any]:
    """An array of these bytes, repeated as often as it takes."""
    size = dtype.itemsize * int(np.prod(shape, dtype=int))
    raw: np.ndarray[Any, Any] = np.frombuffer((data * (size // max(len(data), 1) + 1))[:size], np.uint8)
    if dtype.kind == "b":
        raw = raw & 1
    if dtype.kind == "U":  # not every number is a character
        little = (raw.view(np.uint32) % 0x3000).astype(np.uint32)
        raw = (little if dtype.str[0] == "<" else little.byteswap()).view(np.uint8)
    return raw.copy().view(dtype).reshape(shape)


def bits_tensor(dtype: torch.dtype, shape: Sequence[int], data: bytes) -> torch.Tensor:
    """A tensor of these bytes."""
    spare = 1  # torch has no view of an empty tensor as a wider dtype
    raw = bits_array(np.dtype("u1"), [(math.prod(shape) + spare) * dtype.itemsize], data)
    flat = torch.from_numpy(raw & 1 if dtype == torch.bool else raw)
    return flat.view(dtype)[:-spare].reshape(tuple(shape))


def same(one: Any, other: Any) -> bool:
    """Whether two labels have the same types, dtypes, shapes and bits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        bits = [bytes(tensor_bits(t)) for t in (one, other)]
        return one.dtype == other.dtype and one.shape == other.shape and bits[0] == bits[1]
    if isinstance(one, (np.ndarray, np.generic)):
        alike: bool = (
            one.dtype == other.dtype and one.dtype.str == other.dtype.str and one.shape == other.shape
        )
        return alike and one.tobytes() == other.tobytes()
    if isinstance(one, float):
        return struct.pack("<d", one) == struct.pack("<d", other)
    if isinstance(one, complex):
        return same([one.real, one.imag], [other.real, other.imag])
    if isinstance(one, dict):
        return same(list(one), list(other)) and same(list(one.values()), list(other.values()))
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def tensor_bits(tensor: torch.Tensor) -> bytes:
    """A tensor's bytes, which not every dtype could compare."""
    if not tensor.numel():
        return b""
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def python_values() -> list[Strategy]:
    """A strategy for each kind of plain value."""
    anything = st.text(st.characters(exclude_categories=[]), max_size=6)  # surrogates, NUL
    numbers = [st.integers(-(2**63), 2**63 - 1), st.floats(), st.complex_numbers(), st.booleans()]
    return [*numbers, anything, st.binary(max_size=6), st.none()]


BYTES = st.binary(min_size=1, max_size=24)


def shapes(ndim: int) -> Strategy:
    return st.tuples(*[st.integers(0, 3)] * ndim)


def arrays(dtype: np.dtype[Any], ndim: int) -> Strategy:
    """Arrays that differ in shape, also in memory order."""
    made = st.builds(bits_array, st.just(dtype), shapes(ndim), BYTES)
    return st.builds(lambda array, order: np.array(array, order=order), made, st.sampled_from(["C", "F"]))


def scalars(dtype: np.dtype[Any]) -> Strategy:
    return arrays(dtype, 0).map(lambda array: array[()])


def tensors(dtype: torch.dtype, ndim: int) -> Strategy:
    return st.builds(bits_tensor, st.just(dtype), shapes(ndim), BYTES)


SCALAR_DTYPES = [dtype for dtype in DTYPES if dtype.kind not in "US"]
"""Of scalars: numpy.str_ and numpy.bytes_ come back as the str and bytes that they are."""


@dataclass(frozen=True)
class Kind:
    """What a leaf of all labels of a dataset is, and how to draw its values."""

    name: str
    values: Strategy


def _kinds() -> list[Kind]:
    found = [Kind("plain", values) for values in python_values()]
    found += [Kind(f"{dtype} scalar", scalars(dtype)) for dtype in SCALAR_DTYPES]
    found += [Kind(f"{dtype} {ndim}", arrays(dtype, ndim)) for dtype in DTYPES for ndim in range(4)]
    found += [Kind(f"{dtype} {ndim}", tensors(dtype, ndim)) for dtype in TENSOR_DTYPES for ndim in range(4)]
    return found


def _branches(inner: Strategy) -> Strategy:
    keys = st.one_of(st.text(max_size=4), st.integers(2), st.none(), st.booleans())
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.lists(st.tuples(keys, inner), max_size=3).map(dict),
        st.builds(Box, inner, inner),
        st.builds(Local, inner),
    )


STRUCTURES = st.recursive(st.sampled_from(_kinds()), _branches, max_leaves=8)


def _fill(draw: st.DrawFn, structure: Any) -> Any:
    """A label of this structure."""
    if isinstance(structure, Kind):
        return draw(structure.values)
    if isinstance(structure, dict):
        return {key: _fill(draw, item) for key, item in structure.items()}
    items = [_fill(draw, item) for item in structure]
    if hasattr(structure, "_fields"):
        return type(structure)(*items)
    return tuple(items) if isinstance(structure, tuple) else items


@st.composite
def labels_of_one_structure(draw: st.DrawFn) -> list[Any]:
    """The labels of a small dataset."""
    structure = draw(STRUCTURES)
    return [_fill(draw, structure) for _ in range(draw(st.integers(1, 6)))]


@contextmanager
def written(labels: Sequence[Any], **options: Any) -> Iterator[ChunkDataset]:
    """A dataset of these labels alone, in their order."""
    given = WriteOptions(**{"workers": 1, "durable": False, "order": "source", **options})
    with tempfile.TemporaryDirectory() as root:
        write_chunks(Labels(labels), "labels", root=root, options=given)
        yield ChunkDataset("labels", root=root)


def read_back(labels: Sequence[Any]) -> list[Any]:
    """What comes back of these labels."""
    with written(labels) as ds:
        return [ds[index] for index in range(len(ds))]
