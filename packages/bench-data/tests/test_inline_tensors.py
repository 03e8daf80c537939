"""What arrives from a worker is what torch itself would deliver."""

from collections import OrderedDict
from multiprocessing.reduction import ForkingPickler
from pickle import loads
from typing import Any, NamedTuple

import pytest
import torch
from bench_data import inline_tensors
from bench_data.inline_tensors import INLINE_BYTES, InlineCollate
from torch.utils.data import DataLoader


class Pair(NamedTuple):
    image: torch.Tensor
    label: int


class Marked(torch.Tensor):
    """A tensor of the user's own class."""


def through(batch: Any) -> Any:
    """What the training process gets of a batch."""
    return loads(ForkingPickler.dumps(inline_tensors._inline(batch)))


DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float64,
    torch.complex64,
    torch.float8_e4m3fn,
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 1, 4)], ids=str)
def test_every_dtype_and_shape(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = torch.randint(0, 2, shape).to(dtype)
    found = through(tensor)
    assert (found.dtype, found.shape, found.is_shared()) == (dtype, tensor.shape, False)
    assert found.view(-1).view(torch.uint8).tolist() == tensor.view(-1).view(torch.uint8).tolist()


def test_views_and_other_strides() -> None:
    tensor = torch.arange(60.0).view(3, 4, 5)
    for view in (tensor[1], tensor[:, ::2], tensor.permute(2, 0, 1), tensor[0, 0].expand(7, 5)):
        assert torch.equal(through(view), view)


def test_the_batch_keeps_its_structure() -> None:
    one = torch.ones(2)
    batch = {"pair": Pair(one, 3), "list": [one, "text", None], "tuple": (one, {}), 5: OrderedDict(x=one)}
    found = through(batch)
    assert (type(found["pair"]), type(found["tuple"]), type(found[5])) == (Pair, tuple, OrderedDict)
    assert repr(found) == repr(batch)


def test_what_arrives_can_be_written_to() -> None:
    found = through([torch.zeros(3), torch.zeros(3)])
    found[0] += 1
    assert found[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(INLINE_BYTES + 1, dtype=torch.uint8),
        torch.zeros(INLINE_BYTES + 1, dtype=torch.uint8)[:2],
        torch.zeros(0, 3),
        torch.zeros(3, requires_grad=True),
        torch.eye(3).to_sparse(),
        torch.ones(2, dtype=torch.complex64).conj(),
        torch.ones(3).as_subclass(Marked),
        torch.nn.Parameter(torch.ones(3)),
        torch.empty(3, device="meta"),
    ],
    ids=["large", "view of large", "empty", "grad", "sparse", "conj", "class", "param", "meta"],
)
def test_what_is_not_small_and_plain_goes_torchs_way(tensor: torch.Tensor) -> None:
    assert inline_tensors._inline(tensor) is tensor


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_quantized_tensors_go_torchs_way() -> None:
    tensor = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8)
    assert inline_tensors._inline(tensor) is tensor


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_of_workers(workers: int) -> None:
    collate = InlineCollate(torch.stack)
    images = [torch.full((3, 8, 8), float(number)) for number in range(10)]
    batches = list(DataLoader(images, 4, num_workers=workers, collate_fn=collate))  # type: ignore[arg-type]
    assert torch.equal(torch.cat(batches), torch.stack(images))
    assert [batch.is_shared() for batch in batches] == [False] * 3
