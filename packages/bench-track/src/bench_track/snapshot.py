"""What a dict holds at one moment: tensors copied to the CPU, all else pickled."""

import io
import pickle
import sys
from collections.abc import Mapping
from typing import Any

from bench_track.copy_memory import CopyMemory
from bench_track.errors import CheckpointError


class Snapshot:
    """A copy of a state. Making it is the pause of a training; the rest can be done by another thread.

    Tensors that share memory, or are the same, do so in the copy too. A GPU's tensors are copied in the order
    of its current stream, without waiting for it.

    Args:
        state: Any tree of tensors, arrays and what else can be pickled.
        memory: What copies on the CPU are made in; no other snapshot's, as long as this one is needed.

    Raises:
        CheckpointError: Something in it cannot be pickled.
    """

    def __init__(self, state: Mapping[str, Any], memory: CopyMemory) -> None:
        self._copies = _Copies(memory)
        pickled = io.BytesIO()
        try:
            _Pickler(pickled, self._copies).dump(state)
        except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
            raise CheckpointError(
                f"the state has something that cannot be saved: {error}",
                hint="Give the state_dict() of an object in place of the object.",
            ) from error
        self._pickled = pickled.getvalue()
        self._copies.forget_sources()

    def state(self) -> Any:
        """The state as it was; waits for what a GPU has not copied yet."""
        self._copies.arrive()
        return _Unpickler(io.BytesIO(self._pickled), self._copies).load()


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, copies: "_Copies") -> None:
        super().__init__(file, protocol=5)
        self._copies = copies

    def persistent_id(self, value: Any) -> int | None:
        torch: Any = sys.modules.get("torch")
        if torch is None or type(value) not in (torch.Tensor, torch.nn.Parameter):
            return None
        return self._copies.number(value)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, copies: "_Copies") -> None:
        super().__init__(file)
        self._copies = copies

    def persistent_load(self, number: Any) -> Any:
        return self._copies.tensors[number]


class _Copies:
    """The tensors of a state, each once."""

    def __init__(self, memory: CopyMemory) -> None:
        self.tensors: list[Any] = []
        self._memory = memory
        self._sources: list[Any] = []  # kept, so that no other gets the same id meanwhile
        self._numbers: dict[int, int] = {}
        self._storages: dict[int, Any] = {}
        self._events: dict[Any, Any] = {}

    def number(self, tensor: Any) -> int:
        known = self._numbers.get(id(tensor))
        if known is None:
            known = self._numbers[id(tensor)] = len(self.tensors)
            self._sources.append(tensor)
            self.tensors.append(self._copy(tensor))
        return known

    def forget_sources(self) -> None:
        self._sources, self._numbers, self._storages = [], {}, {}

    def arrive(self) -> None:
        for event in self._events.values():
            event.synchronize()

    def _copy(self, tensor: Any) -> Any:
        torch: Any = sys.modules["torch"]
        with torch.no_grad():
            copied = self._shared(torch, tensor) if _is_plain(torch, tensor) else _alone(tensor)
        if isinstance(tensor, torch.nn.Parameter):
            return torch.nn.Parameter(copied, tensor.requires_grad)
        return copied.requires_grad_(tensor.requires_grad)

    def _shared(self, torch: Any, tensor: Any) -> Any:
        """A tensor over a copy of the whole storage, which others may share, as torch.save keeps them."""
        storage = tensor.untyped_storage()
        copied = self._storages.get(storage._cdata)
        if copied is None:
            source = torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(storage)
            copied = self._storages[storage._cdata] = self._to_cpu(torch, source).untyped_storage()
        place = (tensor.storage_offset(), tensor.size(), tensor.stride())
        return torch.empty(0, dtype=tensor.dtype).set_(copied, *place)

    def _to_cpu(self, torch: Any, source: Any) -> Any:
        """A copy of a uint8 vector."""
        if source.device.type != "cuda":
            return self._memory.take(torch, len(source)).copy_(source)
        try:  # torch keeps such memory by itself
            target = torch.empty(source.shape, dtype=source.dtype, pin_memory=True)
        except RuntimeError:  # no more memory may be pinned
            return source.cpu()
        with torch.cuda.device(source.device):
            target.copy_(source, non_blocking=True)
            event = self._events.setdefault(source.device, torch.cuda.Event(blocking=True))
            event.record()
        return target


def _is_plain(torch: Any, tensor: Any) -> bool:
    return (
        tensor.layout == torch.strided
        and tensor.device.type != "meta"
        and not (tensor.is_quantized or tensor.is_conj() or tensor.is_neg())
    )


def _alone(tensor: Any) -> Any:
    """A copy of a tensor that is no plain piece of memory: sparse, quantized, conjugated."""
    return tensor.detach().cpu() if tensor.device.type not in ("cpu", "meta") else tensor.detach().clone()
