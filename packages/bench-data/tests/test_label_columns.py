"""Columns of a leaf that do not fit each other, as only a hostile writer makes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_data.errors import FormatError
from bench_data.label_columns import LeafColumn
from bench_data.label_tree import Leaf

TEXT = Leaf("str")


class Columns:
    """A chunk's columns, whole and checked, but with what a stranger put into them."""

    path = Path("chunk.zip")

    def __init__(self, **columns: "np.ndarray[Any, Any]") -> None:
        self._columns = {f"labels/0{name}": column for name, column in columns.items()}

    def has_column(self, name: str) -> bool:
        return name.replace(".", "_") in self._columns

    def column(self, name: str) -> "np.ndarray[Any, Any]":
        return self._columns[name.replace(".", "_")]


def ragged(starts: list[int]) -> Any:
    values = np.frombuffer(b"abcdef", "|u1")
    return Columns(**{"": values, "_starts": np.array(starts, "<u8")})


def test_starts_that_ascend() -> None:
    read = LeafColumn(ragged([0, 2, 2, 6]), 0, TEXT, samples=3).reader()
    assert [read(at) for at in range(3)] == ["ab", "", "cdef"]


@pytest.mark.parametrize(
    "starts", [[0, 4, 2, 6], [1, 2, 4, 6], [0, 2, 4, 5], [0, 2, 4, 7], [0, 2, 6], [0, 2, 1 << 63, 6]]
)
def test_starts_that_do_not_fit(starts: list[int]) -> None:
    with pytest.raises(FormatError) as caught:
        LeafColumn(ragged(starts), 0, TEXT, samples=3)
    assert str(caught.value) == "chunk.zip, labels/0.npy: does not fit the label tree"
