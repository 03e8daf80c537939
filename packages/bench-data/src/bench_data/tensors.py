"""The only place where labels meet torch, which is never imported before a tensor appears."""

import sys
from typing import Any

import numpy as np

from bench_data.errors import LabelError

BITS = {1: "uint8", 2: "uint16", 4: "uint32"}
"""How a torch dtype that numpy has not (bfloat16, float8) is stored: unsigned integers of its size."""

_NUMPY_NAMES = {
    "bool": "|b1",
    "uint8": "|u1",
    "int8": "|i1",
    "uint16": "<u2",
    "int16": "<i2",
    "uint32": "<u4",
    "int32": "<i4",
    "uint64": "<u8",
    "int64": "<i8",
    "float16": "<f2",
    "float32": "<f4",
    "float64": "<f8",
    "complex64": "<c8",
    "complex128": "<c16",
}


def is_tensor(value: Any) -> bool:
    """Whether the value is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def dtype_name(tensor: Any) -> str:
    """Torch's name of the tensor's dtype: `float32`, `bfloat16`."""
    return str(tensor.dtype).removeprefix("torch.")


def stored_dtype(name: str, itemsize: int = 2) -> np.dtype[Any]:
    """The numpy dtype that a torch dtype is stored as.

    Args:
        name: Torch's name of the dtype.
        itemsize: Its size in bytes, used where numpy has no such dtype.
    """
    return np.dtype(_NUMPY_NAMES.get(name) or BITS[itemsize])


def is_stored_as_bits(name: str) -> bool:
    """Whether numpy has no dtype like this one of torch's."""
    return name not in _NUMPY_NAMES


def to_numpy(tensor: Any) -> np.ndarray[Any, Any]:
    """The tensor's values on the CPU, as the dtype that they are stored as.

    Raises:
        LabelError: The tensor is sparse, nested, quantized or without data.
    """
    torch = sys.modules["torch"]
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta or tensor.is_nested:
        raise LabelError(
            f"a label is a {tensor.layout} tensor of {tensor.dtype}, and only dense ones are stored"
        )
    plain = tensor.detach().cpu().resolve_conj().resolve_neg()
    if dtype_name(plain) not in _NUMPY_NAMES:
        bits = getattr(torch, BITS.get(plain.element_size(), ""), None)
        if bits is None:
            raise LabelError(f"a label is a tensor of {tensor.dtype}, which cannot be stored")
        plain = plain.contiguous().view(bits)
    array: np.ndarray[Any, Any] = plain.numpy()
    return array


def from_numpy(array: np.ndarray[Any, Any], name: str) -> Any:
    """A tensor over a writable array, of the torch dtype of that name."""
    import torch

    tensor = torch.from_numpy(array)
    return tensor if name in _NUMPY_NAMES else tensor.view(getattr(torch, name))
