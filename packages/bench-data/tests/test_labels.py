"""What the user gave as a label is what they get: value, type, dtype, shape."""

import math
import pickle
from collections import namedtuple
from enum import IntEnum
from typing import Any

import numpy as np
import pytest
import torch
from bench_data import ChunkDataset, WriteOptions, write_chunks
from data_samples import Labels
from hypothesis import given, settings
from hypothesis import strategies as st
from label_samples import (
    DTYPES,
    SCALAR_DTYPES,
    TENSOR_DTYPES,
    bits_array,
    bits_tensor,
    labels_of_one_structure,
    read_back,
    same,
    written,
)

DATA = bytes(range(1, 120))


class Color(IntEnum):
    RED = 1


@settings(max_examples=150)
@given(labels_of_one_structure(), st.sampled_from([1 << 10, 64 << 20]))
def test_any_label_comes_back_as_it_was_given(labels: list[Any], chunk_bytes: int) -> None:
    with written(labels, chunk_bytes=chunk_bytes) as ds:
        assert len(ds) == len(labels)
        for index, label in enumerate(labels):
            assert same(ds[index], label), (ds[index], label)


CASES: list[list[tuple[int, ...]]] = [
    [(2, 3)] * 3,
    [(2, 3), (0, 4), (1, 1)],
    [(), (), ()],
    [(3,), (0,), (2,)],
    [(0,)] * 3,
]
"""The shapes of three samples: all alike, or ragged."""


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_arrays_of_one_shape_and_of_many_keep_their_dtype(dtype: np.dtype[Any]) -> None:
    labels = [tuple(bits_array(dtype, case[n], DATA[n:]) for case in CASES) for n in range(3)]
    assert same(read_back(labels), labels)


@pytest.mark.parametrize("dtype", TENSOR_DTYPES, ids=str)
def test_tensors_of_one_shape_and_of_many_keep_their_dtype(dtype: torch.dtype) -> None:
    labels = [tuple(bits_tensor(dtype, case[n], DATA[n:]) for case in CASES) for n in range(3)]
    assert same(read_back(labels), labels)


@pytest.mark.parametrize("dtype", SCALAR_DTYPES, ids=str)
def test_numpy_scalars_keep_their_type(dtype: np.dtype[Any]) -> None:
    labels = [bits_array(dtype, (), DATA[n:])[()] for n in range(3)]
    assert same(read_back(labels), labels)


@pytest.mark.parametrize(
    "labels",
    [
        [2**63 - 1, -(2**63), 0],
        [-0.0, math.inf, -math.inf, math.nan, 5e-324, 1.7976931348623157e308],
        [complex(-0.0, math.nan), complex(math.inf, -0.0)],
        ["", "\0", "a\0", "\ud800", "\ud83d\ude00", "😀", "\udcff", "a" * 100_000],
        [b"", b"\0", b"a\0", bytes(range(256))],
        [(), ()],
        [[[], {}], [[], {}]],
        [{None: 1, True: 2, 3: 4, "3": 5, "": 6, 2**70: 7}],
    ],
)
def test_extremes_come_back(labels: list[Any]) -> None:
    assert same(read_back(labels), labels)


def test_long_doubles_keep_their_digits() -> None:
    label = (np.longdouble(1) / 3, np.array([1j], np.clongdouble) / 3)
    (found,) = read_back([label])
    assert type(found[0]) is np.longdouble
    assert found[0] == label[0]
    assert found[1].dtype == np.clongdouble
    assert found[1] == label[1]


def _tensors_of_many_makes() -> list[torch.Tensor]:
    grid = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    complexes = torch.tensor([[1 + 2j, 3 - 4j]])
    return [
        *[grid.t(), grid[::2, 1:3], grid.bfloat16().t(), torch.nn.Parameter(grid), grid.expand(2, 3, 4)],
        *[complexes.conj(), complexes.conj().imag, complexes.mT],
    ]


@pytest.mark.parametrize("given_tensor", _tensors_of_many_makes())
def test_a_tensor_comes_back_as_its_values_whatever_lies_behind_it(given_tensor: torch.Tensor) -> None:
    (found,) = read_back([given_tensor])
    assert type(found) is torch.Tensor
    assert not found.requires_grad
    assert found.dtype == given_tensor.dtype
    assert torch.equal(found, given_tensor.detach())


@pytest.mark.parametrize(
    "label",
    [
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(10)[::-3],
        np.broadcast_to(np.int16(7), (2, 2)),
    ],
    ids=["fortran", "strided", "broadcast"],
)
def test_an_array_comes_back_as_its_values_whatever_its_memory_is_like(label: np.ndarray[Any, Any]) -> None:
    assert same(read_back([label]), [label])


def test_what_is_read_is_the_readers_own_and_can_be_written_to() -> None:
    labels = [(np.arange(3), torch.arange(3), [np.zeros((n, 2))]) for n in range(3)]
    with written(labels) as ds:
        for index in range(3):
            array, tensor, (ragged,) = ds[index]
            array += 1
            tensor += 1
            ragged += 1
        assert same([ds[index] for index in range(3)], labels)


def test_a_processor_may_reuse_its_array() -> None:
    class Reusing(Labels):
        def get_label_and_numeric_data(self, item: int) -> Any:
            self.labels[0][:] = item
            return self.labels[0]

    write_chunks(
        Reusing([np.zeros(2, np.int32)] * 5),
        "x",
        options=WriteOptions(workers=1, durable=False, order="source"),
    )
    assert [ChunkDataset("x")[n].tolist() for n in range(5)] == [[n, n] for n in range(5)]


def test_subclasses_come_back_as_what_they_are_made_of() -> None:
    labels = [(Color.RED, np.str_("a"), np.bytes_(b"b"), np.asarray([[1]]).view(np.matrix))]
    assert same(read_back(labels), [(1, "a", b"b", np.array([[1]]))])


def test_the_order_of_a_dicts_keys_is_that_of_the_first_sample() -> None:
    found = read_back([{"b": 1, "a": 2.5}, {"a": 3.5, "b": 4}])
    assert same(found, [{"b": 1, "a": 2.5}, {"b": 4, "a": 3.5}])


def test_a_named_tuple_whose_class_is_gone_comes_back_as_one_like_it() -> None:
    Gone = namedtuple("Gone", ["first", "second"])
    (found,) = read_back([Gone(1, "a")])
    assert (found.first, found.second, found._fields) == (1, "a", ("first", "second"))
    assert type(found).__name__ == "Gone"
    assert pickle.loads(pickle.dumps(found)) == found
    assert type(pickle.loads(pickle.dumps(found))) is type(found)
