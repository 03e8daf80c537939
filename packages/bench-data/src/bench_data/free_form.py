"""A leaf of free structure: JSON with arrays beside it (FORMAT.md, section 4)."""

import base64
import json
import struct
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from bench_data import tensors
from bench_data.errors import FormatError, LabelError
from bench_data.label_tree import Leaf, check_array
from bench_data.stored_zip import npy_header
from bench_data.zip_reader import parse_npy_header

MakeTensor: TypeAlias = Callable[[np.ndarray[Any, Any], str], Any]


def encode_free(value: Any) -> bytes:
    """Encode any tree of plain values, arrays and tensors.

    Raises:
        LabelError: It holds something else.
    """
    arrays: list[np.ndarray[Any, Any]] = []
    try:
        plain = json.dumps(_to_json(value, arrays), separators=(",", ":"), ensure_ascii=False)
    except (RecursionError, ValueError) as error:  # nested too deep, an integer of thousands of digits
        raise LabelError(f"a free label cannot be stored: {error}") from None
    text = plain.encode(errors="surrogatepass")
    parts = [struct.pack("<L", len(text)), text]
    for array in arrays:
        parts += [npy_header(array.dtype, array.shape), array.tobytes()]
    return b"".join(parts)


def decode_free(data: bytes, make_tensor: MakeTensor = tensors.from_numpy) -> Any:
    """Decode what `encode_free` made; arrays are writable copies.

    Args:
        data: What it made.
        make_tensor: Makes a tensor of an array and of torch's name of its dtype.

    Raises:
        FormatError: It is something else.
    """
    try:
        return _decode(data, make_tensor)
    except FormatError:
        raise
    except Exception as error:  # whatever foreign bytes lead to
        raise FormatError(f"not a free label: {error or type(error).__name__}") from None


def _decode(data: bytes, make_tensor: MakeTensor) -> Any:
    (length,) = struct.unpack_from("<L", data)
    if 4 + length > len(data):
        raise FormatError("a free label is cut short")
    arrays, rest = [], data[4 + length :]
    while rest:
        dtype, shape, used = parse_npy_header(rest)
        end = used + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        arrays.append(np.frombuffer(rest[used:end], np.uint8).copy().view(dtype).reshape(shape))
        rest = rest[end:]
    return _from_json(json.loads(data[4 : 4 + length].decode(errors="surrogatepass")), arrays, make_tensor)


def _to_json(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    def keep(array: np.ndarray[Any, Any]) -> int:
        check_array(array)
        arrays.append(array)
        return len(arrays) - 1

    if isinstance(value, np.generic):
        return {"s": keep(np.asarray(value))}
    if isinstance(value, np.ndarray):
        return {"a": keep(value)}
    if tensors.is_tensor(value):
        return {"T": [keep(tensors.to_numpy(value)), tensors.dtype_name(value)]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, bytes):
        return {"b": base64.b64encode(value).decode()}
    if isinstance(value, complex):
        return {"c": [value.real, value.imag]}
    if isinstance(value, dict):
        return {"d": [[_to_json(k, arrays), _to_json(v, arrays)] for k, v in value.items()]}
    if isinstance(value, (tuple, list)):
        items = [_to_json(item, arrays) for item in value]
        return {"t": items} if isinstance(value, tuple) else items
    raise LabelError(f"a free label holds a {type(value).__name__}, which cannot be stored")


def _from_json(value: Any, arrays: list[np.ndarray[Any, Any]], make_tensor: MakeTensor) -> Any:
    def inside(item: Any) -> Any:
        return _from_json(item, arrays, make_tensor)

    if isinstance(value, list):
        return list(map(inside, value))
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    decode: dict[str, Callable[[], Any]] = {
        "t": lambda: tuple(map(inside, content)),
        "d": lambda: {inside(k): inside(v) for k, v in content},
        "b": lambda: base64.b64decode(content, validate=True),
        "c": lambda: complex(*content),
        "a": lambda: arrays[content],
        "s": lambda: arrays[content][()],
        "T": lambda: _tensor(arrays[content[0]], content[1], make_tensor),
    }
    return decode[tag]()


def _tensor(array: np.ndarray[Any, Any], dtype: str, make_tensor: MakeTensor) -> Any:
    if array.dtype != Leaf("tensor", dtype).stored_dtype:
        raise FormatError(f"a free label has a tensor of {dtype} in an array of {array.dtype}")
    return make_tensor(array, dtype)
