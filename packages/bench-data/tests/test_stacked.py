"""`ds.stacked` is what stacking single reads gives, for every kind of leaf."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from bench_data import FreeForm
from hypothesis import given, settings
from hypothesis import strategies as st
from label_samples import (
    DTYPES,
    SCALAR_DTYPES,
    TENSOR_DTYPES,
    Box,
    bits_array,
    bits_tensor,
    same,
    tensor_bits,
    written,
)

DATA = bytes(range(1, 120))
COUNT = 60
PICKS = {
    "out of order, twice the same, from the end, in several chunks": [3, 59, 0, 3, 17, -1, 44, -60, 45, 2],
    "ascending, with gaps": [1, 2, 4, 20, 21, 58],
    "one after the other, over several chunks": list(range(7, 51)),
    "two": [44, 45],
}
NUMBERS: dict[type, str] = {int: "<i8", float: "<f8", bool: "|b1", complex: "<c16"}


@pytest.fixture(params=list(PICKS.values()), ids=list(PICKS))
def picked(request: pytest.FixtureRequest) -> list[int]:
    return list(request.param)


def _by_hand(values: Sequence[Any]) -> Any:
    """The values of one leaf stacked."""
    first = values[0]
    if isinstance(first, torch.Tensor):
        return _tensor_by_hand(values)
    if isinstance(first, (np.ndarray, np.generic)):
        alike = len({value.shape for value in values}) == 1
        return (
            np.stack([np.asarray(value) for value in values]).astype(first.dtype) if alike else list(values)
        )
    if type(first) in NUMBERS:
        return np.array(values, NUMBERS[type(first)])
    return None if first is None else list(values)


def _tensor_by_hand(values: Sequence[torch.Tensor]) -> Any:
    if len({value.shape for value in values}) > 1:
        return list(values)
    # torch.stack is not made for all dtypes: of the bits it is.
    first, step = values[0], values[0].element_size()
    bits = np.frombuffer(b"".join(map(tensor_bits, values)), np.uint8)
    return bits_tensor(first.dtype, (len(values), *first.shape), bits.tobytes() or bytes(step))


def _numbers() -> list[list[Any]]:
    return [
        [n * 10**15 for n in range(COUNT)],
        [n / 3 for n in range(COUNT)],
        [n % 3 == 0 for n in range(COUNT)],
        [complex(n, -n) for n in range(COUNT)],
        [f"a{n}\0\ud800" for n in range(COUNT)],
        [b"a" * (n % 5) for n in range(COUNT)],
        [None] * COUNT,
    ]


@pytest.mark.parametrize("labels", _numbers(), ids=lambda labels: type(labels[0]).__name__)
def test_plain_values_stack_to_arrays_or_lists(labels: list[Any], picked: list[int]) -> None:
    with written(labels, chunk_bytes=1024) as ds:
        assert same(ds.stacked(picked), _by_hand([labels[at] for at in picked]))


@pytest.mark.parametrize("dtype", SCALAR_DTYPES, ids=str)
def test_scalars_stack_to_an_array(dtype: np.dtype[Any], picked: list[int]) -> None:
    labels = [bits_array(dtype, (), DATA[n:])[()] for n in range(COUNT)]
    with written(labels, chunk_bytes=1024) as ds:
        found = ds.stacked(picked)
        assert same(found, np.array([labels[at] for at in picked], labels[0].dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_arrays_stack_to_an_array(dtype: np.dtype[Any], picked: list[int]) -> None:
    labels = [
        [bits_array(dtype, shape, DATA[n:]) for shape in [(), (3,), (2, 0), (1, 2, 2)]] for n in range(COUNT)
    ]
    with written(labels, chunk_bytes=1024) as ds:
        expected = [_by_hand([labels[at][leaf] for at in picked]) for leaf in range(4)]
        n = len(picked)
        assert [array.shape for array in expected] == [(n,), (n, 3), (n, 2, 0), (n, 1, 2, 2)]
        assert same(ds.stacked(picked), expected)


@pytest.mark.parametrize("dtype", TENSOR_DTYPES, ids=str)
def test_tensors_stack_to_a_tensor(dtype: torch.dtype, picked: list[int]) -> None:
    labels = [
        [bits_tensor(dtype, shape, DATA[n:]) for shape in [(), (3,), (2, 0), (1, 2, 2)]] for n in range(COUNT)
    ]
    with written(labels, chunk_bytes=1024) as ds:
        found = ds.stacked(picked)
        n = len(picked)
        assert [tuple(tensor.shape) for tensor in found] == [(n,), (n, 3), (n, 2, 0), (n, 1, 2, 2)]
        assert same(found, [_by_hand([labels[at][leaf] for at in picked]) for leaf in range(4)])


def test_tensors_stack_as_torch_stacks_them(picked: list[int]) -> None:
    labels = [torch.full((2, 3), n, dtype=torch.bfloat16) for n in range(COUNT)]
    with written(labels, chunk_bytes=1024) as ds:
        assert torch.equal(ds.stacked(picked), torch.stack([ds[at] for at in picked]))


@pytest.mark.parametrize("make", [np.zeros, torch.zeros])
def test_shapes_that_differ_give_lists(make: Any, picked: list[int]) -> None:
    labels = [(make(n % 3), make((2, n % 2)), FreeForm([n] * (n % 2))) for n in range(COUNT)]
    with written(labels, chunk_bytes=1024) as ds:
        singles = [ds[at] for at in picked]
        assert same(ds.stacked(picked), tuple([single[leaf] for single in singles] for leaf in range(3)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e5m2])
@pytest.mark.parametrize("chunk_bytes", [1 << 10, 64 << 20])
def test_it_is_the_shapes_of_the_samples_asked_for_that_decide(dtype: torch.dtype, chunk_bytes: int) -> None:
    labels = [
        (np.full(1 + n // 20, n, ">i4"), torch.full((1 + n // 20, 2), n).to(dtype)) for n in range(COUNT)
    ]
    with written(labels, chunk_bytes=chunk_bytes) as ds:
        arrays, tensors = zip(*[labels[at] for at in (59, 0, 58)], strict=True)
        assert same(ds.stacked([59, 0, 58]), (list(arrays), list(tensors)))
        assert same(ds.stacked([59, 58]), (_by_hand(arrays[::2]), _by_hand(tensors[::2])))


def test_the_structure_stays() -> None:
    labels = [Box({"a": (n, None), 3: [np.float32(n)]}, ()) for n in range(COUNT)]
    with written(labels) as ds:
        expected = Box({"a": (np.array([2, 0]), None), 3: [np.array([2, 0], np.float32)]}, ())
        assert same(ds.stacked([2, 0]), expected)


def test_what_is_stacked_can_be_written_to() -> None:
    with written([(np.arange(3), torch.arange(3), n) for n in range(COUNT)]) as ds:
        before = ds.stacked(range(COUNT))
        for leaf in ds.stacked(range(COUNT)):
            leaf += 1
        assert same(ds.stacked(range(COUNT)), before)


@pytest.mark.parametrize("items", [[1, 5, 9], (1, 5, 9), range(1, 10, 4), np.array([1, 5, 9], np.uint16)])
def test_samples_are_named_by_any_sequence_of_integers(items: Any) -> None:
    with written(list(range(COUNT)), chunk_bytes=1024) as ds:
        assert same(ds.stacked(items), np.array([1, 5, 9]))


def test_no_samples_give_no_rows() -> None:
    with written([(n, "a") for n in range(COUNT)]) as ds:
        assert same(ds.stacked([]), (np.empty(0, np.int64), []))


@pytest.mark.parametrize("items", [[0, 60], [-61, 0], np.array([10**12])])
def test_samples_out_of_range_are_refused(items: Any) -> None:
    with written(list(range(COUNT))) as ds, pytest.raises(IndexError, match=r"of 60$"):
        ds.stacked(items)


@settings(max_examples=60)
@given(st.lists(st.integers(-COUNT, COUNT - 1), max_size=80), st.integers(10, 14))
def test_any_selection_is_what_single_reads_give(items: list[int], log_bytes: int) -> None:
    with written([(n, f"{n}", np.arange(n % 2 + 1)) for n in range(COUNT)], chunk_bytes=1 << log_bytes) as ds:
        numbers, texts, arrays = ds.stacked(items)
        assert numbers.tolist() == [ds[at][0] for at in items]
        assert texts == [ds[at][1] for at in items]
        assert [array.tolist() for array in arrays] == [ds[at][2].tolist() for at in items]
