"""Labels of free structure: they come back as they were, and foreign bytes are only ever an error."""

import base64
import contextlib
import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bench_data import FreeForm
from bench_data.errors import FormatError, LabelError
from bench_data.free_form import decode_free, encode_free
from bench_data.stored_zip import npy_header
from hypothesis import example, given, settings
from hypothesis import strategies as st
from label_samples import (
    DTYPES,
    SCALAR_DTYPES,
    TENSOR_DTYPES,
    arrays,
    python_values,
    read_back,
    same,
    scalars,
    tensors,
)


def _one_nan(value: Any) -> Any:
    """JSON has one NaN only; those that Python tells apart by their bits become this one."""
    if isinstance(value, complex):
        return complex(_one_nan(value.real), _one_nan(value.imag))
    return math.nan if isinstance(value, float) and math.isnan(value) else value


KEYS = st.one_of(
    st.text(max_size=3),
    st.integers(),
    st.floats().map(_one_nan),
    st.none(),
    st.binary(max_size=2),
    st.booleans(),
)


def _leaves() -> st.SearchStrategy[Any]:
    return st.one_of(
        *[values.map(_one_nan) for values in python_values()],
        st.integers(),
        st.one_of([scalars(dtype) for dtype in SCALAR_DTYPES]),
        st.one_of([arrays(dtype, ndim) for dtype in DTYPES for ndim in range(3)]),
        st.one_of([tensors(dtype, ndim) for dtype in TENSOR_DTYPES for ndim in range(3)]),
    )


def _branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.one_of(KEYS, st.tuples(KEYS, KEYS))
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.lists(st.tuples(keys, inner), max_size=3).map(dict),
    )


TREES = st.recursive(_leaves(), _branches, max_leaves=10)


@settings(max_examples=300)
@given(TREES)
def test_any_tree_comes_back_as_it_was_given(value: Any) -> None:
    assert same(decode_free(encode_free(value)), value)


@settings(max_examples=30)
@given(st.lists(TREES, min_size=1, max_size=5))
def test_trees_of_any_kind_stand_in_one_dataset(values: list[Any]) -> None:
    labels = [(number, FreeForm(value)) for number, value in enumerate(values)]
    assert same(read_back(labels), list(enumerate(values)))


def test_detection_targets_come_back_with_as_many_boxes_as_there_are() -> None:
    targets = [
        [{"bbox": [1.5, 2.0, float(k), 1e300], "iscrowd": k % 2 == 0, "mask": np.eye(k)} for k in range(n)]
        for n in range(4)
    ]
    assert same(read_back([FreeForm(target) for target in targets]), targets)


def test_arrays_and_tensors_are_the_readers_own_and_can_be_written_to() -> None:
    array, tensor = decode_free(encode_free((np.arange(3), torch.arange(3).bfloat16())))
    array += 1
    tensor += 1
    assert array.tolist() == tensor.tolist() == [1, 2, 3]


def test_the_bytes_are_those_of_the_format() -> None:
    value = {"a": (1, 2.5, None), 3: [b"\xff", 1j, "ü"], "x": np.arange(2, dtype="<i2")}
    text = '{"d":[["a",{"t":[1,2.5,null]}],[3,[{"b":"/w=="},{"c":[0.0,1.0]},"ü"]],["x",{"a":0}]]}'.encode()
    npy = npy_header(np.dtype("<i2"), (2,)) + b"\0\0\1\0"
    assert encode_free(value) == struct.pack("<L", len(text)) + text + npy


def test_scalars_and_tensors_are_told_from_arrays() -> None:
    data = encode_free([np.float32(1), torch.ones(1), np.ones(1)])
    length = int.from_bytes(data[:4], "little")
    assert json.loads(data[4 : 4 + length]) == [{"s": 0}, {"T": [1, "float32"]}, {"a": 2}]


def _packed(text: str | bytes, rest: bytes = b"") -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<L", len(data)) + data + rest


ARRAY = npy_header(np.dtype("<i4"), (2,)) + bytes(8)
HOSTILE = {
    "nothing": b"",
    "a length cut short": b"\1\0",
    "a length beyond the end": b"\xff\xff\xff\xff[]",
    "no JSON": _packed("nonsense"),
    "empty JSON": _packed(""),
    "no UTF-8": _packed(b'"\xff"'),
    "an unknown tag": _packed('{"q": 1}'),
    "an object of no key": _packed("{}"),
    "an object of two keys": _packed('{"t": [], "d": []}'),
    "a tuple of a number": _packed('{"t": 5}'),
    "a dict of a number": _packed('{"d": [1]}'),
    "a dict with a list for a key": _packed('{"d": [[[], 1]]}'),
    "no base64": _packed('{"b": "a"}'),
    "base64 of a number": _packed('{"b": 5}'),
    "base64 with foreign characters": _packed('{"b": "/w==!!"}'),
    "a complex of text": _packed('{"c": ["a", "b"]}'),
    "a complex of three": _packed('{"c": [1, 2, 3]}'),
    "an array that is not there": _packed('{"a": 0}'),
    "an array of a text number": _packed('{"a": "0"}', ARRAY),
    "an array of true": _packed('{"a": true}', ARRAY),
    "a tensor of no dtype": _packed('{"T": [0]}', ARRAY),
    "a tensor of an unknown dtype": _packed('{"T": [0, "float5"]}', ARRAY),
    "a tensor of a function of torch": _packed('{"T": [0, "load"]}', ARRAY),
    "a tensor of another size": _packed('{"T": [0, "bfloat16"]}', ARRAY),
    "a tensor of another kind": _packed('{"T": [0, "float32"]}', ARRAY),
    "an array cut short": _packed('{"a": 0}', ARRAY[:-1]),
    "an array header cut short": _packed('{"a": 0}', ARRAY[:20]),
    "no array header": _packed('{"a": 0}', b"PK\3\4" + bytes(100)),
    "bytes after the last array": _packed('{"a": 0}', ARRAY + b"\0"),
    "an array of objects": _packed(
        '{"a": 0}', ARRAY.replace(b"'<i4'", b"'|O' ") + b"cos\nsystem\n(S'false'\ntR."
    ),
    "an array of negative size": _packed('{"a": 0}', ARRAY.replace(b"(2,)", b"(-2,)")),
    "an array of more than memory": _packed('{"a": 0}', ARRAY.replace(b"(2,)", b"(9999999999999999999,)")),
    "a Fortran array": _packed('{"a": 0}', ARRAY.replace(b"False", b"True ")),
    "deeper than Python recurses": _packed("[" * 100_000 + "]" * 100_000),
    "deep tuples": _packed('{"t":[' * 5000 + "]}" * 5000),
    "an integer of too many digits": _packed("1" * 5000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_foreign_bytes_are_a_format_error(name: str) -> None:
    with pytest.raises(FormatError):
        decode_free(HOSTILE[name])


@settings(max_examples=300)
@given(st.binary(max_size=200), st.booleans())
@example(b"", False)
def test_any_bytes_are_a_value_or_a_format_error(data: bytes, packed: bool) -> None:
    with contextlib.suppress(FormatError):
        decode_free(_packed(data) if packed else data)


@settings(max_examples=300)
@given(st.data())
def test_any_change_of_a_byte_is_a_value_or_a_format_error(data: st.DataObject) -> None:
    whole = encode_free([np.arange(2), torch.ones(2).bfloat16(), {"a": (b"b", 1j)}, np.float32(1)])
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]
    with contextlib.suppress(FormatError):
        decode_free(changed)


def test_nothing_in_the_bytes_is_executed(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    code = f"__import__('pathlib').Path({str(trap)!r}).touch()"
    header = ARRAY[:10] + f"{{'descr': {code}, 'fortran_order': False, 'shape': (2,), }}".ljust(200).encode()
    header = header[:8] + struct.pack("<H", len(header) - 10) + header[10:]
    pickled = base64.b64encode(b"cos\nsystem\n").decode()
    for data in [_packed(code), _packed('{"a": 0}', header), _packed(json.dumps({"T": [0, code]}), ARRAY)]:
        with pytest.raises(FormatError):
            decode_free(data)
    assert decode_free(_packed(json.dumps({"b": pickled}))) == b"cos\nsystem\n"
    assert not trap.exists()


@pytest.mark.parametrize("name", ["hub", "load", "__builtins__", "nn.Module", "__dict__", "Tensor", "onnx"])
@pytest.mark.parametrize("dtype", ["<i4", "|u1", "<u2"])
def test_what_torch_has_besides_dtypes_is_not_taken_for_one(name: str, dtype: str) -> None:
    array = npy_header(np.dtype(dtype), (2,)) + bytes(2 * np.dtype(dtype).itemsize)
    with pytest.raises(FormatError, match=r"^(a|not a) free label"):
        decode_free(_packed(json.dumps({"T": [0, name]}), array))


@pytest.mark.parametrize("value", [{1}, [object()], {"a": bytearray()}, np.array([None]), iter([]), b"".join])
def test_what_cannot_be_stored_is_refused(value: Any) -> None:
    with pytest.raises(LabelError, match=r"cannot be stored$"):
        encode_free(value)
