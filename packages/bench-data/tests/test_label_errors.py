"""Labels that cannot be stored, or change their structure: an error that names the sample."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bench_data import FreeForm, WriteOptions, write_chunks
from bench_data.errors import LabelError
from data_samples import Labels
from label_samples import Box

PLAIN = WriteOptions(workers=1, durable=False, order="source")
PADDED = np.zeros(2, np.dtype([("a", "u1"), ("b", "<i4")], align=True))
CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (2**63, "the integer 9223372036854775808 does not fit 64 bits"),
        ([-(2**63) - 1], "the integer -9223372036854775809 does not fit 64 bits"),
        (np.array([None]), "a label is a numpy array of Python objects, which cannot be stored"),
        (
            (1, np.zeros(1, [("a", "O")])),
            "a label is a numpy array of Python objects, which cannot be stored",
        ),
        (np.ma.masked_array([1, 2], [False, True]), "a label is a masked array, which cannot be stored"),
        (PADDED, "a label has the numpy dtype {'names': ['a', 'b'], "),
        (PADDED[0], "a label has the numpy dtype {'names': ['a', 'b'], "),
        (np.zeros(2, []), "a label has the numpy dtype [], which cannot be stored"),
        (
            np.zeros(2, [(("title", "a"), "u1")]),
            "a label has the numpy dtype [(('title', 'a'), 'u1')], which",
        ),
        (np.zeros(2, [("Ж", "u1")]), "a label has the numpy dtype [('Ж', 'u1')], which cannot be stored"),
        ({1, 2}, "a label holds a builtins.set, which cannot be stored"),
        ({"a": [bytearray(b"a")]}, "a label holds a builtins.bytearray, which cannot be stored"),
        ((1, Labels([])), "a label holds a data_samples.Labels, which cannot be stored"),
        ({1.5: 1}, "the keys of a label's dict are [1.5]; "),
        ({"a": {(1, 2): 1}}, "the keys of a label's dict are [(1, 2)]; "),
        ({"a": 1, "\udc80": 1}, "the keys of a label's dict are ['a', '\\udc80']; "),
        (torch.eye(2).to_sparse(), "a label is a torch.sparse_coo tensor of torch.float32, and only dense"),
        (torch.zeros(2, device="meta"), "a label is a torch.strided tensor of torch.float32, and only dense"),
        (FreeForm([{1}]), "a free label holds a set, which cannot be stored"),
        (FreeForm({"a": FreeForm(1)}), "a free label holds a FreeForm, which cannot be stored"),
        (FreeForm([PADDED]), "a label has the numpy dtype {'names': ['a', 'b'], "),
        (FreeForm(CIRCLE), "a free label cannot be stored: "),
        (FreeForm(10**5000), "a free label cannot be stored: "),
    ],
)
def test_what_cannot_be_stored_is_refused_and_its_sample_named(
    label: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(LabelError) as caught:
        write_chunks(Labels([label]), "x", root=tmp_path, options=PLAIN)
    assert str(caught.value).startswith(f"sample 0: {message}")
    assert not (tmp_path / "x" / "dataset.json").exists()


STRUCTURE_CHANGES = [
    (1, 2.0, "float where other samples have int"),
    (1, True, "bool where other samples have int"),
    (1, np.int64(1), "scalar <i8 where other samples have int"),
    (1, None, "none where other samples have int"),
    (None, 1, "int where other samples have none"),
    ("a", b"a", "bytes where other samples have str"),
    (FreeForm(1), 1, "int where other samples have free"),
    ((1, 2), (1, 2, 3), "tuple(int, int, int) where other samples have tuple(int, int)"),
    ((1, 2), [1, 2], "list(int, int) where other samples have tuple(int, int)"),
    ((1, 2), Box(1, 2), "label_samples:Box(int, int) where other samples have tuple(int, int)"),
    ((1, (2, 3)), (1, 2), "int where other samples have tuple(int, int)"),
    ({"a": 1}, {"b": 1}, "{'b': int} where other samples have {'a': int}"),
    ({"a": 1}, {"a": 1, "b": 2}, "{'a': int, 'b': int} where other samples have {'a': int}"),
    (np.zeros(2), np.zeros(2, "f4"), "array <f4 of 1 dimensions where other samples have array <f8 of 1 dim"),
    (np.zeros(2), np.zeros((2, 2)), "array <f8 of 2 dimensions where other samples have array <f8 of 1 dim"),
    (np.zeros(2, "<i4"), np.zeros(2, ">i4"), "array >i4 of 1 dimensions where other samples have array <i4"),
    (np.zeros(2), torch.zeros(2), "tensor float32 of 1 dimensions where other samples have array <f8"),
    (torch.zeros(2), torch.zeros(2).half(), "tensor float16 of 1 dimensions where other samples have tensor"),
    (np.float32(1), np.float64(1), "scalar <f8 where other samples have scalar <f4"),
]


@pytest.mark.parametrize(("first", "other", "message"), STRUCTURE_CHANGES)
def test_a_change_of_structure_is_refused_and_its_sample_named(
    first: Any, other: Any, message: str, tmp_path: Path
) -> None:
    labels = [first] * 100
    labels[57] = other
    with pytest.raises(LabelError) as caught:
        write_chunks(Labels(labels), "x", root=tmp_path, options=PLAIN)
    assert str(caught.value).startswith(f"sample 57: a label's structure changed: {message}")
    assert str(caught.value).endswith("mark what varies with FreeForm(...).")
    assert not (tmp_path / "x" / "dataset.json").exists()


@pytest.mark.parametrize("unfit", [2**63, np.array([None]), {1}])
def test_what_cannot_be_stored_is_named_also_in_the_middle(unfit: Any) -> None:
    labels: list[Any] = [(1 if isinstance(unfit, int) else np.arange(1), 0)] * 100
    labels[57] = (unfit, 0)
    with pytest.raises(LabelError, match=r"^sample 57: "):
        write_chunks(Labels(labels), "x", options=PLAIN)


def test_a_label_that_holds_itself_is_an_error_that_names_the_sample() -> None:
    circular: list[Any] = [1]
    circular.append(circular)
    deep: Any = 0
    for _ in range(5000):
        deep = (deep,)
    for label in (circular, deep):
        with pytest.raises(LabelError, match=r"^sample 0: a label is nested more than 100 levels deep"):
            write_chunks(Labels([label]), "train", "out", WriteOptions(workers=1, durable=False))
        with pytest.raises(LabelError, match=r"^sample 1: "):
            write_chunks(Labels([(1,), label]), "train", "out", WriteOptions(workers=1, durable=False))
