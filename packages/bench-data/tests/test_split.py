"""Splits: no sample in both parts, the same ones every time, and all stay where they were."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_data import ChunkDataset, ChunkSubset, WriteOptions, write_chunks
from bench_data.errors import LoaderError
from data_samples import Files, Labels, make_files
from hypothesis import given, settings
from hypothesis import strategies as st
from label_samples import written

COUNT = 200
PLAIN = WriteOptions(workers=1, chunk_bytes=1 << 10, order="source", durable=False)


def labels(subset: ChunkSubset) -> list[Any]:
    return subset.__getitems__(range(len(subset)))


@pytest.fixture
def dataset(tmp_path: Path) -> ChunkDataset:
    """Labels 0 to 199 in several chunks."""
    assert write_chunks(Labels(range(COUNT)), "x", root=tmp_path, options=PLAIN).chunks > 1
    return ChunkDataset("x", root=tmp_path)


@settings(max_examples=60)
@given(st.integers(1, 40), st.floats(0, 1), st.integers(0, 2**64 - 1))
def test_the_parts_are_disjoint_complete_and_of_the_size_asked_for(
    count: int, fraction: float, seed: int
) -> None:
    with written(list(range(count))) as ds:
        first, second = ds.split(fraction, seed=seed)
        assert (len(first), len(second)) == (round(count * fraction), count - round(count * fraction))
        assert sorted([*labels(first), *labels(second)]) == list(range(count))
        assert labels(first) == sorted(labels(first)) == first.indices.tolist()


@pytest.mark.parametrize(("fraction", "size"), [(0, 0), (0.0, 0), (0.9, 180), (1 / 3, 67), (1, 200)])
def test_the_fraction_is_that_of_the_first_part(dataset: ChunkDataset, fraction: float, size: int) -> None:
    assert tuple(map(len, dataset.split(fraction))) == (size, COUNT - size)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, 90, float("nan")])
def test_a_fraction_out_of_range_is_refused(dataset: ChunkDataset, fraction: float) -> None:
    for one in (dataset, dataset.split(0.5)[0]):
        with pytest.raises(
            LoaderError, match=rf"^cannot split at {fraction}\nHint: Give a fraction from 0 to 1"
        ):
            one.split(fraction)


def test_a_split_follows_from_the_seed(dataset: ChunkDataset) -> None:
    first = labels(dataset.split(0.9)[0])
    assert labels(dataset.split(0.9)[0]) == labels(dataset.split(0.9, seed=0)[0]) == first
    assert labels(dataset.split(0.9, seed=1)[0]) != first
    assert first != list(range(180))


def test_a_larger_part_holds_the_smaller_one(dataset: ChunkDataset) -> None:
    assert set(labels(dataset.split(0.5)[0])) < set(labels(dataset.split(0.6)[0]))


def test_the_parts_are_a_fair_draw(dataset: ChunkDataset) -> None:
    in_first = np.zeros(COUNT)
    for seed in range(200):
        in_first[labels(dataset.split(0.5, seed=seed)[0])] += 1
    assert abs(in_first - 100).max() < 5 * 50**0.5  # five standard deviations of the binomial


def test_a_split_does_not_depend_on_how_the_dataset_is_stored(dataset: ChunkDataset, tmp_path: Path) -> None:
    other = WriteOptions(workers=1, durable=False, seed=5)
    write_chunks(Labels(range(COUNT)), "y", root=tmp_path, options=other)
    shuffled = ChunkDataset("y", root=tmp_path)
    assert shuffled[0] != 0 or shuffled[1] != 1
    assert set(labels(shuffled.split(0.9)[0])) == set(labels(dataset.split(0.9)[0]))


@pytest.mark.parametrize("order", ["source", "shuffled"])
def test_samples_stay_in_their_part_when_others_are_added(tmp_path: Path, order: Any) -> None:
    options = WriteOptions(workers=1, order=order, durable=False)
    files = make_files(tmp_path / "source", 220, 10)
    write_chunks(Files(files[20:]), "x", root=tmp_path, options=options)
    before = [{label for label, _ in labels(part)} for part in ChunkDataset("x", root=tmp_path).split(0.9)]
    write_chunks(Files(files), "x", root=tmp_path, options=options)
    after = [{label for label, _ in labels(part)} for part in ChunkDataset("x", root=tmp_path).split(0.9)]
    assert list(map(len, after)) == [198, 22]
    moved = before[0] & after[1] | before[1] & after[0]
    assert len(moved) <= 5
    assert after[0] | after[1] == set(range(220))
    assert after[0] & set(range(20))  # of the new ones


def test_a_split_of_a_split_shares_nothing_with_the_rest(dataset: ChunkDataset) -> None:
    train, rest = dataset.split(0.8, seed=3)
    valid, test = rest.split(0.5, seed=3)
    assert (len(train), len(valid), len(test)) == (160, 20, 20)
    assert sorted(labels(train) + labels(valid) + labels(test)) == list(range(COUNT))
    assert type(valid) is ChunkSubset
    assert labels(rest.split(0.5, seed=3)[0]) == labels(valid)
    assert labels(rest.split(0.5, seed=4)[0]) != labels(valid)


def test_a_part_is_a_dataset_of_its_own(dataset: ChunkDataset) -> None:
    part = dataset.split(0.25)[0]
    numbers = part.indices.tolist()
    seventh: Any = np.int64(7)
    assert len(part) == len(numbers) == 50
    assert [part[0], part[-1], part[seventh]] == [numbers[0], numbers[-1], numbers[7]]
    assert part.__getitems__([3, 3, -2]) == [numbers[3], numbers[3], numbers[-2]]
    assert part.stacked([3, 3, -2]).tolist() == [numbers[3], numbers[3], numbers[-2]]
    assert part.source_keys().tolist() == dataset.source_keys()[numbers].tolist()


def test_a_part_has_chunks_of_its_own_samples(dataset: ChunkDataset) -> None:
    part = dataset.split(0.25)[0]
    sizes = np.diff(part.chunk_starts).tolist()
    edges = dataset.chunk_starts.tolist()
    expected = [sum(start <= n < stop for n in part.indices.tolist()) for start, stop in pairwise(edges)]
    assert sizes == expected
    assert sum(sizes) == 50


@pytest.mark.parametrize("item", [50, -51])
def test_a_number_out_of_a_parts_range_is_refused(dataset: ChunkDataset, item: int) -> None:
    part = dataset.split(0.25)[0]
    with pytest.raises(IndexError, match=f"^sample {item} of 50$"):
        part[item]
    for read in (part.__getitems__, part.stacked):
        with pytest.raises(IndexError, match=r"of 50$"):
            read([0, item])


def test_an_empty_part_is_empty(dataset: ChunkDataset) -> None:
    empty = dataset.split(0.0)[0]
    assert (len(empty), labels(empty), empty.stacked([]).shape) == (0, [], (0,))
    with pytest.raises(IndexError, match=r"^sample 0 of 0$"):
        empty[0]
    assert list(map(len, empty.split(0.5))) == [0, 0]


def test_fingerprints_tell_parts_apart(dataset: ChunkDataset) -> None:
    subsets = [*dataset.split(0.5), *dataset.split(0.5, seed=1), dataset.split(0.5)[0].split(0.5)[0]]
    fingerprints = {dataset.fingerprint, *(subset.fingerprint for subset in subsets)}
    assert len(fingerprints) == 6
    assert dataset.split(0.5)[0].fingerprint == subsets[0].fingerprint


def test_samples_of_equal_labels_are_split_too(tmp_path: Path) -> None:
    write_chunks(Labels([7] * 50), "x", root=tmp_path, options=PLAIN)
    first, second = ChunkDataset("x", root=tmp_path).split(0.5)
    assert (len(first), len(second)) == (25, 25)
    assert not set(first.indices.tolist()) & set(second.indices.tolist())


def test_a_dataset_that_was_rewritten_since_it_was_opened_is_not_split_by_the_new_samples(
    dataset: ChunkDataset, tmp_path: Path
) -> None:
    write_chunks(Labels(range(COUNT + 50)), "x", root=tmp_path, options=PLAIN)
    with pytest.raises(LoaderError, match=r"was rewritten since it was opened"):
        dataset.split(0.9)
    assert len(ChunkDataset("x", root=tmp_path).split(0.9)[0]) == 225
