from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_data import ChunkDataset, ChunkSampler, WriteOptions, write_chunks
from bench_data.errors import LoaderError
from bench_data.order import derive_key, permute
from bench_data.sampler import Shuffle
from data_samples import Labels
from torch.utils.data import DataLoader, TensorDataset

COUNT = 50


@pytest.fixture
def dataset(tmp_path: Path) -> ChunkDataset:
    options = WriteOptions(workers=1, chunk_bytes=2048, order="source", durable=False)
    write_chunks(Labels(range(COUNT)), "numbers", root=tmp_path, options=options)
    return ChunkDataset("numbers", root=tmp_path)


def test_exact_is_the_permutation_of_the_specification(dataset: ChunkDataset) -> None:
    sampler = ChunkSampler(dataset, seed=3)
    sampler.set_epoch(2)
    key = derive_key("exact", dataset.fingerprint, 3, 2)
    assert list(sampler) == permute(np.arange(COUNT), COUNT, key).tolist()


@pytest.mark.parametrize("shuffle", ["exact", "window", False, True])
def test_every_epoch_has_every_sample_once_in_its_own_order(dataset: ChunkDataset, shuffle: Shuffle) -> None:
    sampler = ChunkSampler(dataset, shuffle=shuffle)
    orders = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
        assert sorted(orders[-1]) == list(range(COUNT))
        assert orders[-1] == list(sampler), "without set_epoch an epoch is repeated"
    if shuffle:
        assert orders[0] != orders[1] != orders[2]
    else:
        assert orders == [list(range(COUNT))] * 3


def test_an_order_does_not_depend_on_numpys_or_torchs_random_state(dataset: ChunkDataset) -> None:
    import torch

    first = list(ChunkSampler(dataset))
    np.random.seed(1)
    torch.manual_seed(1)
    assert list(ChunkSampler(dataset)) == first


def test_it_serves_a_data_loader_of_the_users_own(dataset: ChunkDataset) -> None:
    sampler = ChunkSampler(dataset, seed=1)
    own: DataLoader[Any] = DataLoader(dataset, batch_size=8, sampler=sampler)  # type: ignore[arg-type]
    assert [label for batch in own for label in batch.tolist()] == list(sampler)


def test_it_resumes_where_a_state_was(dataset: ChunkDataset) -> None:
    sampler = ChunkSampler(dataset, shuffle="window", seed=1, window_chunks=2)
    sampler.set_epoch(4)
    whole = list(sampler)
    state = {**sampler.state_dict(), "samples_yielded": 20}
    other = ChunkSampler(dataset, shuffle="window", seed=1, window_chunks=2)
    other.load_state_dict(state)
    assert len(other) == COUNT - 20
    assert list(other) == whole[20:]
    assert len(other) == COUNT
    assert list(other) == whole, "the epoch after it is whole"


def test_another_epoch_begins_at_its_beginning(dataset: ChunkDataset) -> None:
    sampler = ChunkSampler(dataset)
    sampler.load_state_dict({**sampler.state_dict(), "epoch": 1, "samples_yielded": 20})
    sampler.set_epoch(1)
    assert len(sampler) == COUNT - 20, "a training loop sets the epoch that it resumes"
    sampler.set_epoch(2)
    assert sorted(sampler) == list(range(COUNT))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fingerprint": "0" * 64}, "fingerprint '0000"),
        ({"seed": 5}, "seed 5, and the loader has 0"),
        ({"shuffle": "window"}, "shuffle 'window', and the loader has 'exact'"),
        ({"version": 2}, "version 2, and the loader has 1"),
        ({"samples_yielded": COUNT + 1}, "yielded 51 of 50"),
        ({"samples_yielded": -1}, "yielded -1 of 50"),
    ],
)
def test_a_state_of_another_order_is_refused(
    dataset: ChunkDataset, changes: dict[str, object], message: str
) -> None:
    sampler = ChunkSampler(dataset)
    with pytest.raises(LoaderError, match=message):
        sampler.load_state_dict({**sampler.state_dict(), **changes})
    assert len(sampler) == COUNT


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shuffle": "exactly"}, "shuffle is 'exactly'"),
        ({"shuffle": None}, "shuffle is None"),
        ({"window_chunks": 0}, "window_chunks is 0"),
    ],
)
def test_arguments_are_checked(dataset: ChunkDataset, options: dict[str, object], message: str) -> None:
    with pytest.raises(LoaderError, match=message):
        ChunkSampler(dataset, **options)  # type: ignore[arg-type]


def test_a_dataset_without_a_fingerprint_is_refused_with_the_way_out() -> None:
    import torch

    with pytest.raises(LoaderError, match="TensorDataset has no order of its own") as caught:
        ChunkSampler(TensorDataset(torch.zeros(3)))  # type: ignore[arg-type]
    assert caught.value.hint is not None
    assert "DataLoader" in caught.value.hint


def test_a_split_has_an_order_of_its_own(dataset: ChunkDataset) -> None:
    train, valid = dataset.split(0.8, seed=0)
    for part in (train, valid):
        for shuffle in ("exact", "window"):
            assert sorted(ChunkSampler(part, shuffle=shuffle)) == list(range(len(part)))
    assert ChunkSampler(train).state_dict()["fingerprint"] not in (dataset.fingerprint, valid.fingerprint)
