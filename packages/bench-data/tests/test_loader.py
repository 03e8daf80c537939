import gc
import multiprocessing
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bench_data import ChunkDataset, ChunkFile, ChunkLoader, FileContent, WriteOptions, loader, write_chunks
from bench_data.errors import LoaderError
from bench_data.sampler import Shuffle
from data_samples import Computed, Labels
from torch.utils.data import DataLoader

COUNT = 103  # a prime: nothing divides it
# Four workers on a machine with two cores are what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes:UserWarning")
SHUFFLES: list[Shuffle] = ["exact", "window", False]


class Numbers(ChunkDataset):
    """Loaded by name in spawned workers."""

    def __getitem__(self, item: int) -> int:
        return int(super().__getitem__(item)) * 10


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("datasets")
    options = WriteOptions(workers=1, chunk_bytes=2048, durable=False, order="source")
    write_chunks(Labels(range(COUNT)), "numbers", root=root, options=options)
    return root


@pytest.fixture
def dataset(root: Path) -> ChunkDataset:
    return ChunkDataset("numbers", root=root)


def labels(batches: Any) -> list[int]:
    return [label for batch in batches for label in batch.tolist()]


def test_it_is_a_data_loader(dataset: ChunkDataset) -> None:
    dl = loader(dataset, batch_size=8, pin_memory=False, timeout=60, num_workers=1, prefetch_factor=3)
    assert isinstance(dl, DataLoader)
    assert isinstance(dl, ChunkLoader)
    assert (dl.batch_size, dl.prefetch_factor, dl.timeout) == (8, 3, 60)
    assert len(dl) == 13
    batch = next(iter(dl))
    assert isinstance(batch, torch.Tensor)
    assert batch.shape == (8,)


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_the_same_order_for_all_ranks_and_workers(root: Path, shuffle: Shuffle) -> None:
    """Of every global step, the ranks' batches joined are the same part of one order."""
    dataset, batch = Numbers("numbers", root=root), 4
    whole = labels(loader(dataset, batch_size=batch, shuffle=shuffle, seed=7, rank=0, world_size=1))
    assert Counter(whole) == Counter(range(0, COUNT * 10, 10))
    assert (whole == sorted(whole)) is (shuffle is False)
    for ranks in (1, 2, 4):
        for workers in (0, 2, 4) if ranks == 1 else (0, 2):
            per_rank = [
                list(
                    loader(
                        dataset,
                        batch_size=batch,
                        shuffle=shuffle,
                        seed=7,
                        rank=rank,
                        world_size=ranks,
                        num_workers=workers,
                    )
                )
                for rank in range(ranks)
            ]
            assert len({len(batches) for batches in per_rank}) == 1
            joined = [n for step in zip(*per_rank, strict=True) for b in step for n in b.tolist()]
            assert joined[:COUNT] == whole
            assert joined[COUNT:] == whole[: len(joined) - COUNT]
            assert len(joined) - COUNT < ranks


def read_ranks(
    dataset: Any, ranks: int, state: dict[str, Any] | None, steps: int | None, **options: Any
) -> Any:
    """The samples of some steps of all ranks, in global order, and the state after them."""
    per_rank, states = [], []
    for rank in range(ranks):
        dl = loader(dataset, batch_size=3, seed=1, rank=rank, world_size=ranks, **options)
        if state is None:
            dl.set_epoch(5)
        else:
            dl.load_state_dict(state)
        batches = []
        for batch in dl:
            batches.append(batch.tolist())
            if len(batches) == steps:
                break
        per_rank.append(batches)
        states.append(dl.state_dict())
    assert all(one == states[0] for one in states), "any rank's state is the state"
    return [n for step in zip(*per_rank, strict=True) for b in step for n in b], states[0]


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 1), (1, 4), (4, 2)])
def test_it_resumes_at_every_step_with_any_number_of_ranks(
    dataset: ChunkDataset, shuffle: Shuffle, before: int, after: int
) -> None:
    whole, _ = read_ranks(dataset, 1, None, None, shuffle=shuffle)
    for steps in range(1, COUNT // (3 * before)):
        first, state = read_ranks(dataset, before, None, steps, shuffle=shuffle)
        rest, _ = read_ranks(dataset, after, state, None, shuffle=shuffle)
        assert first == whole[: len(first)]
        assert rest[: COUNT - len(first)] == whole[len(first) :]


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("workers", [0, 2, 4])
def test_it_resumes_at_every_step_with_any_number_of_workers(
    dataset: ChunkDataset, ranks: int, workers: int
) -> None:
    options: dict[str, Any] = {"batch_size": 8, "seed": 1, "num_workers": workers, "world_size": ranks}
    whole = labels(loader(dataset, batch_size=8, seed=1, rank=0, world_size=1))
    one = loader(dataset, rank=0, **options)
    for state in [one.state_dict(), *[one.state_dict() for _ in one]]:
        per_rank = [loader(dataset, rank=rank, **options) for rank in range(ranks)]
        for dl in per_rank:
            dl.load_state_dict(state)
        rest = [n for step in zip(*per_rank, strict=True) for batch in step for n in batch.tolist()]
        left = COUNT - state["samples_yielded"]
        assert rest[:left] == whole[COUNT - left :]
        assert len(rest) - left < ranks


@pytest.mark.parametrize(("before", "after"), [(0, 2), (2, 0), (2, 4)])
def test_it_resumes_whatever_workers_have_fetched_ahead(
    dataset: ChunkDataset, before: int, after: int
) -> None:
    whole, _ = read_ranks(dataset, 1, None, None)
    first, state = read_ranks(dataset, 1, None, 5, num_workers=before)
    assert state["samples_yielded"] == 15
    rest, end = read_ranks(dataset, 1, state, None, num_workers=after)
    assert first + rest == whole
    assert end["samples_yielded"] == COUNT


def test_persistent_workers_resume_and_go_on_to_the_next_epoch(dataset: ChunkDataset) -> None:
    options: dict[str, Any] = {"batch_size": 10, "num_workers": 2, "seed": 4}
    expected = []
    for epoch in (1, 2):
        plain = loader(dataset, batch_size=10, seed=4)
        plain.set_epoch(epoch)
        expected.append(labels(plain))
    dl = loader(dataset, persistent_workers=True, **options)
    dl.set_epoch(1)
    found = [next(iter(dl)).tolist()]
    dl.load_state_dict(dl.state_dict())
    found += [batch.tolist() for batch in dl]
    assert [n for batch in found for n in batch] == expected[0]
    dl.set_epoch(2)
    assert labels(dl) == expected[1]
    assert labels(dl) == expected[1]


def test_a_loader_goes_when_its_last_reference_goes(dataset: ChunkDataset) -> None:
    """Within a reference cycle torch's persistent workers would be waited for, ten seconds long."""
    gc.disable()
    try:
        dl = loader(dataset, batch_size=10, num_workers=2, persistent_workers=True)
        next(iter(dl))
        gone = weakref.ref(dl)
        del dl
        assert gone() is None
        assert multiprocessing.active_children() == []
    finally:
        gc.enable()


def test_a_state_at_the_end_leaves_nothing_and_then_a_whole_epoch(dataset: ChunkDataset) -> None:
    dl = loader(dataset, batch_size=10)
    list(dl)
    state = dl.state_dict()
    assert state["samples_yielded"] == COUNT
    dl.load_state_dict(state)
    assert len(dl) == 0
    assert list(dl) == []
    assert len(labels(dl)) == COUNT


@pytest.mark.parametrize("policy", [{"uneven": "drop"}, {"drop_last": True}])
def test_drop_gives_full_steps_only(dataset: ChunkDataset, policy: dict[str, Any]) -> None:
    ranks = [loader(dataset, batch_size=10, rank=r, world_size=4, **policy) for r in range(4)]
    taken = [n for dl in ranks for n in labels(dl)]
    assert [len(dl) for dl in ranks] == [2] * 4
    assert len(taken) == len(set(taken)) == 80


def test_pad_repeats_fewer_samples_than_there_are_ranks(dataset: ChunkDataset) -> None:
    ranks = [labels(loader(dataset, batch_size=10, rank=r, world_size=4)) for r in range(4)]
    assert {len(taken) for taken in ranks} == {26}
    counts = Counter(n for taken in ranks for n in taken)
    assert set(counts) == set(range(COUNT))
    assert sorted(counts.values())[-2:] == [1, 2], "one sample twice: 104 places for 103"


def test_more_ranks_than_samples_still_step_together(tmp_path: Path) -> None:
    write_chunks(Labels([1, 2]), "two", root=tmp_path, options=WriteOptions(workers=1, durable=False))
    two = ChunkDataset("two", root=tmp_path)
    assert [len(labels(loader(two, batch_size=4, rank=r, world_size=5))) for r in range(5)] == [1] * 5


def test_files_and_none_come_as_lists(tmp_path: Path) -> None:
    files = Computed(4, lambda n: [FileContent("a.txt", b"x" * n)], lambda n: (n, None))
    write_chunks(
        files, "files", root=tmp_path, options=WriteOptions(workers=1, durable=False, order="source")
    )
    ((number, none), files_of_batch), *_ = loader(ChunkDataset("files", root=tmp_path), shuffle=False)
    assert number.tolist() == [0, 1, 2, 3]
    assert none == [None] * 4
    (column,) = files_of_batch
    assert all(isinstance(file, ChunkFile) for file in column)
    assert [file.read_bytes() for file in column] == [b"", b"x", b"xx", b"xxx"]


def test_a_collate_function_of_the_users_own(dataset: ChunkDataset) -> None:
    dl = loader(dataset, batch_size=50, shuffle=False, collate_fn=sum)
    assert list(dl) == [sum(range(50)), sum(range(50, 100)), 100 + 101 + 102]


def test_torch_alone_loads_and_shuffles_a_dataset(dataset: ChunkDataset) -> None:
    for workers in (0, 2):
        own: DataLoader[Any] = DataLoader(dataset, batch_size=10, shuffle=True, num_workers=workers)  # type: ignore[arg-type]
        found = labels(own)
        assert sorted(found) == list(range(COUNT)) != found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank and world_size are given together"),
        ({"world_size": 2}, "rank and world_size are given together"),
        ({"rank": 2, "world_size": 2}, "rank is 2 of world_size 2"),
        ({"rank": -1, "world_size": 2}, "rank is -1 of world_size 2"),
        ({"uneven": "hang"}, "uneven is 'hang'"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"shuffle": "bad"}, "shuffle is 'bad'"),
    ],
)
def test_arguments_are_checked(dataset: ChunkDataset, options: dict[str, Any], message: str) -> None:
    with pytest.raises(LoaderError, match=message):
        loader(dataset, **options)


def test_a_million_samples_need_no_list_of_them() -> None:
    """The order is looked up in slabs: the first batch does not wait for the rest."""

    class Huge:
        fingerprint = "0" * 64
        chunk_starts = np.array([0, 2**40])

        def __len__(self) -> int:
            return 2**40

        def __getitems__(self, items: list[int]) -> list[int]:
            return items

    first = next(iter(loader(Huge(), batch_size=64)))
    assert len(set(first.tolist())) == 64
    assert max(first.tolist()) < 2**40
