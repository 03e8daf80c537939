"""Sends small tensors from a worker to the training process inside the batch's message.

Torch puts every tensor of a batch into a shared memory of its own and passes its descriptor through a new
socket, which a thread of the worker has to answer while the worker reads the next samples: 1 to 3 ms for a
tensor however small (docs/decisions/0008).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.data import get_worker_info

from bench_data.worker_signals import outlive_sigterm

INLINE_BYTES = 1 << 20
"""Tensors with a larger storage go torch's way, which is the faster one at 4 MiB."""


class InlineCollate:
    """A collate function whose batches cross the process boundary faster.

    The training process gets the same batch, with tensors that are not shared with the worker.

    Args:
        collate_fn: Joins samples to a batch.
    """

    def __init__(self, collate_fn: Callable[[list[Any]], Any]) -> None:
        self.collate_fn = collate_fn

    def __call__(self, samples: list[Any]) -> Any:
        """The batch, as `collate_fn` made it where this is no worker."""
        is_worker = get_worker_info() is not None
        if is_worker:
            outlive_sigterm()
        batch = self.collate_fn(samples)
        return _inline(batch) if is_worker else batch


class _InlineTensor:
    """Unpickles as a tensor."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor

    def __reduce__(self) -> tuple[Any, ...]:
        tensor = self._tensor
        data = tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        return _rebuild, (data, tensor.dtype, tensor.shape)


def _rebuild(data: bytes, dtype: torch.dtype, shape: torch.Size) -> torch.Tensor:
    return torch.frombuffer(bytearray(data), dtype=dtype).view(shape)


def _inline(batch: Any) -> Any:
    kind = type(batch)
    if kind is torch.Tensor:
        return _InlineTensor(batch) if _is_small(batch) else batch
    if kind is dict:
        return {key: _inline(value) for key, value in batch.items()}
    if kind is list or kind is tuple:
        return kind(map(_inline, batch))
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return kind(*map(_inline, batch))
    return batch


def _is_small(tensor: torch.Tensor) -> bool:
    usual = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.requires_grad
    plain = usual and not tensor.is_quantized and not tensor.is_conj() and not tensor.is_neg()
    return plain and tensor.numel() > 0 and tensor.untyped_storage().nbytes() <= INLINE_BYTES
