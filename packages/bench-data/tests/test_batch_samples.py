"""The samples of a batch, found again from what was noted, against what the loader gave."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_data import ChunkDataset, ChunkSubset, WriteOptions, batch_samples, loader, write_chunks
from bench_data.errors import LoaderError
from bench_data.latest_batch import latest_batch
from bench_data.manifest import Manifest, read_manifest
from data_samples import Labels
from process_tools import run

COUNT = 103
Noted = tuple[str, int, int]
"""The order as JSON, the epoch, the batch."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset in several chunks whose labels begin with the samples' numbers."""
    root = tmp_path_factory.mktemp("datasets")
    options = WriteOptions(workers=1, chunk_bytes=2048, durable=False, order="source")
    labels = [(number, "x" * 80) for number in range(COUNT)]
    assert write_chunks(Labels(labels), "numbers", root=root, options=options).chunks > 3
    return root / "numbers"


@pytest.fixture
def dataset(folder: Path) -> ChunkDataset:
    return ChunkDataset("numbers", root=folder.parent)


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Manifest:
    return read_manifest(folder)


def noted() -> Noted:
    order, epoch, batch = latest_batch.position
    assert order is not None
    return json.dumps(order.to_json()), epoch, batch


def read(dl: Any, steps: int | None = None) -> list[tuple[Noted, list[int]]]:
    """What was noted of each batch, and its samples."""
    found = []
    for batch, _ in dl:
        found.append((noted(), batch.tolist()))
        if len(found) == steps:
            break
    return found


def check(found: list[tuple[Noted, list[int]]], manifest: Manifest) -> None:
    assert found
    for (order, epoch, batch), samples in found:
        assert batch_samples(json.loads(order), epoch, batch, manifest).tolist() == samples


def parts(dataset: ChunkDataset) -> list[ChunkDataset | ChunkSubset]:
    train, valid = dataset.split(0.7, seed=3)
    return [dataset, train, valid, train.split(0.5)[1]]


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("shuffle", ["exact", "window", False])
def test_each_batch_of_each_rank(dataset: ChunkDataset, manifest: Manifest, shuffle: Any, part: int) -> None:
    chosen = parts(dataset)[part]
    for ranks, uneven, epoch in product((1, 2, 5), ("pad", "drop"), (0, 3)):
        for rank in range(ranks):
            dl = loader(
                chosen,
                batch_size=4,
                shuffle=shuffle,
                seed=9,
                rank=rank,
                world_size=ranks,
                uneven=uneven,  # type: ignore[arg-type]
                window_chunks=2,
            )
            dl.set_epoch(epoch)
            found = read(dl)
            check(found, manifest)
            assert [batch for (_, _, batch), _ in found] == list(range(len(found)))
            assert {at for (_, at, _), _ in found} == {epoch}


@pytest.mark.parametrize("shuffle", ["exact", "window", False])
@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 1), (1, 2), (2, 2), (3, 2)])
def test_each_batch_after_a_resume(
    dataset: ChunkDataset, manifest: Manifest, shuffle: Any, before: int, after: int
) -> None:
    options: dict[str, Any] = {"batch_size": 4, "shuffle": shuffle, "uneven": "pad"}
    for chosen, steps, rank in product(parts(dataset), (1, 2), range(after)):
        first = loader(chosen, rank=0, world_size=before, **options)
        first.set_epoch(2)
        read(first, steps)
        dl = loader(chosen, rank=rank, world_size=after, **options)
        dl.load_state_dict(first.state_dict())
        found = read(dl)
        check(found, manifest)
        taken = steps * before * 4
        assert found[0][0][2] == taken // (4 * after), "counted from the beginning of the epoch"
        if taken % (4 * after) == 0:
            whole = loader(chosen, rank=rank, world_size=after, **options)
            whole.set_epoch(2)
            assert found == read(whole)[taken // (4 * after) :], "as if nothing had been interrupted"


def test_workers_and_an_abandoned_epoch(dataset: ChunkDataset, manifest: Manifest) -> None:
    dl = loader(dataset, batch_size=10, num_workers=2)
    check(read(dl, 3), manifest)
    assert latest_batch.position[2] == 2, "what workers fetch ahead was not yielded"
    check(read(dl), manifest)


def test_a_state_at_the_end_of_an_epoch(dataset: ChunkDataset, manifest: Manifest) -> None:
    dl = loader(dataset, batch_size=10)
    read(dl)
    dl.load_state_dict(dl.state_dict())
    assert read(dl) == []
    found = read(dl)
    check(found, manifest)
    assert len(found) == 11


def test_of_two_loaders_the_one_that_yielded_last(dataset: ChunkDataset, manifest: Manifest) -> None:
    train, valid = parts(dataset)[1:3]
    found = []
    for batch, _ in loader(train, batch_size=8):
        found.append((noted(), batch.tolist()))
        found += read(loader(valid, batch_size=8), 1)
    check(found, manifest)


def test_a_choice_that_is_no_split_has_no_order(dataset: ChunkDataset) -> None:
    next(iter(loader(ChunkSubset(dataset, np.arange(0, COUNT, 2)))))
    assert latest_batch.position == (None, 0, 0)


def test_the_time_that_was_waited_grows(dataset: ChunkDataset) -> None:
    before = latest_batch.waited_seconds
    read(loader(dataset))
    assert latest_batch.waited_seconds > before


WITHOUT_TORCH = """
import json, sys
from pathlib import Path
from bench_data import batch_samples
from bench_data.latest_batch import latest_batch
from bench_data.manifest import read_manifest
print(batch_samples(json.loads(sys.argv[2]), 0, 0, read_manifest(Path(sys.argv[1]))).tolist())
print(sorted(name for name in sys.modules if name.partition(".")[0] == "torch"))
"""


def test_it_needs_no_torch(dataset: ChunkDataset, folder: Path) -> None:
    [((order, _, _), samples)] = read(loader(dataset, batch_size=4), 1)
    assert run(WITHOUT_TORCH, str(folder), order) == f"{samples}\n[]\n"


def test_an_order_has_these_fields(dataset: ChunkDataset) -> None:
    part = dataset.split(0.7, seed=3)[1]
    read(loader(part, batch_size=4, seed=5, rank=1, world_size=2), 1)
    assert json.loads(noted()[0]) == {
        "version": 1,
        "dataset": "numbers",
        "fingerprint": dataset.fingerprint,
        "cuts": [{"fraction": 0.7, "seed": 3, "side": 1}],
        "count": len(part),
        "shuffle": "exact",
        "seed": 5,
        "window_chunks": 16,
        "batch_size": 4,
        "rank": 1,
        "ranks": 2,
        "uneven": "pad",
        "start": 0,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "version 2, and must have 1"),
        ({"fingerprint": "0" * 64}, "is of the dataset 000000000000, and this one is"),
        ({"fingerprint": 5}, "no order"),
        ({"count": COUNT + 1}, "of 104 samples, and there are 103"),
        ({"shuffle": True}, "no order"),
        ({"shuffle": 0}, "no order"),
        ({"seed": None}, "no order"),
        ({"batch_size": 0}, "no order"),
        ({"batch_size": 1 << 80}, "no order"),
        ({"ranks": 1 << 80}, "no order"),
        ({"rank": 1}, "no order"),
        ({"rank": -1}, "no order"),
        ({"uneven": "wrap"}, "no order"),
        ({"start": 10}, "no order"),
        ({"start": -1}, "no order"),
        ({"cuts": 5}, "no order"),
        ({"cuts": [5]}, "no order"),
        ({"cuts": [{"fraction": 2, "seed": 0, "side": 0}]}, "no part of a split"),
        ({"cuts": [{"fraction": 0.5, "seed": 0, "side": 2}]}, "no part of a split"),
        ({"cuts": [{"fraction": "0.5", "seed": 0, "side": 1}]}, "no part of a split"),
        ({"cuts": [{"fraction": 0.5, "seed": 0, "side": 1}]}, "of 103 samples, and there are 51"),
        ({"cuts": [{"fraction": 0.5}]}, "no order"),
        ({"window_chunks": 0}, "no order"),
    ],
)
def test_an_order_from_a_stranger_is_checked(
    dataset: ChunkDataset, manifest: Manifest, changes: dict[str, Any], message: str
) -> None:
    [((order, _, _), _)] = read(loader(dataset, batch_size=10), 1)
    fields = {**json.loads(order), **changes}
    with pytest.raises(LoaderError, match=message):
        batch_samples(fields, 0, 0, manifest)


def test_a_batch_that_the_epoch_does_not_have(dataset: ChunkDataset, manifest: Manifest) -> None:
    [((order, _, _), _)] = read(loader(dataset, batch_size=10), 1)
    for batch in (-1, 11, 1 << 80):
        with pytest.raises(LoaderError, match=rf"^the epoch has 11 batches, and no batch {batch}$"):
            batch_samples(json.loads(order), 0, batch, manifest)
