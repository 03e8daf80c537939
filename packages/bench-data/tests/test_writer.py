"""What a write leaves on the disk: the first one, and those after the source changed."""

import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_data import ChunkDataset
from bench_data.errors import WriteError
from bench_data.order import derive_key, permute
from data_samples import Files, Labels, content, snapshot
from writer_tools import check, chunks, inodes, write

COUNT = 120


@pytest.fixture
def source() -> Files:
    """Files whose names leave room in between."""
    Path("source").mkdir()
    for number in range(0, 10 * COUNT, 10):
        add(number)
    return listing()


def listing() -> Files:
    """What is in the folder now."""
    return Files(sorted(f"source/{name}" for name in os.listdir("source")))


def path_of(number: int) -> Path:
    return Path(f"source/file-{number:06d}.bin")


def add(first: int, count: int = 1) -> None:
    """Put new files between those of the fixture, from number `first` on."""
    for number in range(first, first + count):
        path_of(number).write_bytes(content(number))


@pytest.mark.parametrize("order", ["shuffled", "source"])
def test_the_bytes_do_not_depend_on_the_number_of_workers(source: Files, order: Any) -> None:
    infos = [write(source, f"with {workers}", workers=workers, order=order) for workers in (1, 2, 8)]
    assert len({info.fingerprint for info in infos}) == 1
    assert infos[0].chunks == infos[0].chunks_written > 8
    assert snapshot(Path("out/with 1")) == snapshot(Path("out/with 2")) == snapshot(Path("out/with 8"))
    check(source, "with 8")


def test_a_second_write_of_the_same_writes_nothing(source: Files) -> None:
    first = write(source)
    before = inodes()
    second = write(source, workers=2, durable=True)
    assert replace(second, chunks_written=first.chunks, seconds=first.seconds) == first
    assert second.chunks_written == 0
    assert inodes() == before


def test_ten_files_in_the_middle_of_the_listing_cost_one_chunk(source: Files) -> None:
    first = write(source)
    before = inodes()
    add(991, 9)
    add(5)
    second = write(listing())
    assert (second.chunks_written, second.chunks, second.segments) == (1, first.chunks + 1, 2)
    after = inodes()
    assert {name for name in before if after[name] != before[name]} == {"dataset.json"}
    assert len(after) == len(before) + 2  # a chunk and its segment
    labels = check(listing())
    assert sorted(labels[COUNT:]) == [5, *range(991, 1000)]


def rewritten(before: dict[str, Any]) -> tuple[int, int]:
    """How many chunks are gone since, and how many are new; the others must not have been touched."""
    old, new = chunks(before), chunks(inodes())
    assert all(new[name] == stat for name, stat in old.items() if name in new)
    return len(old.keys() - new.keys()), len(new.keys() - old.keys())


def overwrite(number: int, data: bytes) -> None:
    """The time is set, in case the clock is coarse."""
    path_of(number).write_bytes(data)
    os.utime(path_of(number), ns=(0, number))


def delete(*numbers: int) -> None:
    for number in numbers:
        path_of(number).unlink()


def _insert_at_both_ends() -> None:
    add(1)
    add(1199, 9)


def _insert_delete_overwrite() -> None:
    add(77)
    delete(700)
    overwrite(1100, b"y")


def _replace_the_first_chunk() -> None:
    delete(*range(0, 100, 10))
    add(1001, 9)
    add(1200)


@pytest.mark.parametrize(
    ("change", "gone", "new"),
    [
        (lambda: delete(500), 1, 1),
        (lambda: delete(1190), 1, 1),
        (lambda: delete(90, 100), 2, 2),
        (lambda: delete(*range(0, 100, 10)), 1, 0),  # all of a chunk
        (lambda: overwrite(500, b"x"), 1, 1),
        (lambda: overwrite(500, content(500)[::-1]), 1, 1),
        (lambda: path_of(500).rename(path_of(501)), 1, 2),
        (lambda: add(501), 0, 1),
        (lambda: add(1200), 0, 1),
        (_insert_at_both_ends, 0, 1),
        (_insert_delete_overwrite, 2, 3),
        (_replace_the_first_chunk, 1, 1),
    ],
)
def test_only_the_chunks_that_a_change_concerns_are_written(
    source: Files, change: Callable[[], object], gone: int, new: int
) -> None:
    write(source, order="source")
    before = inodes()
    change()
    write(listing(), order="source")
    assert rewritten(before) == (gone, new)
    check(listing())
    after = inodes()
    assert write(listing(), order="source").chunks_written == 0
    assert inodes() == after


def test_a_file_overwritten_with_the_same_bytes_ends_in_the_same_chunk(source: Files) -> None:
    first = write(source)
    before = chunks(snapshot(Path("out/train")))
    overwrite(500, content(500))
    second = write(source)
    assert (second.chunks_written, second.fingerprint) == (1, first.fingerprint)
    assert chunks(snapshot(Path("out/train"))) == before
    assert second.source_digest != first.source_digest
    assert write(source).chunks_written == 0


@pytest.mark.parametrize("order", ["shuffled", "source"])
def test_many_changes_one_after_the_other_end_with_what_the_source_has(source: Files, order: Any) -> None:
    draw = random.Random(order)
    for step in range(8):
        write(listing(), order=order, workers=1 + step % 2)
        check(listing())
        for number in draw.sample([int(name[5:11]) for name in os.listdir("source")], 8):
            (delete if draw.random() < 0.6 else lambda at: overwrite(at, b"%d" % at))(number)
        for number in draw.sample(range(1500), draw.choice([0, 3, 20])):
            add(number)


def test_what_a_new_version_leaves_out_is_removed_only_when_that_is_there(
    source: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(source)
    before = snapshot(Path("out/train"))
    delete(500)

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("bench_data.writer.atomic_write", fail)
        with pytest.raises(WriteError, match="Input/output error"):
            write(listing())
    assert snapshot(Path("out/train")).items() >= before.items()
    write(listing())
    check(listing())


def test_the_listing_may_come_in_any_order(source: Files) -> None:
    write(source)
    before = inodes()
    assert write(Files(source.paths[::-1])).chunks_written == 0
    assert inodes() == before


class Doubled(Files):
    """The labels of some samples are edited, and so is the text of the class."""

    def get_label_and_numeric_data(self, item: int) -> int:
        label = int(super().get_label_and_numeric_data(item))
        return 2 * label if label in (500, 510, 1100) else label


def test_an_edited_label_function_costs_the_chunks_of_the_labels_that_changed(source: Files) -> None:
    first = write(source, order="source")
    before = inodes()
    assert write(Doubled(source.paths), order="source").chunks_written == 2
    assert rewritten(before) == (2, 2)
    labels = check(Doubled(source.paths))
    assert labels == [Doubled(source.paths).get_label_and_numeric_data(item) for item in range(COUNT)]
    assert write(Doubled(source.paths), order="source").chunks_written == 0
    assert write(source, order="source").fingerprint == first.fingerprint


class Renamed(Files):
    """Gives what Files gives."""


def test_another_text_of_the_class_alone_moves_no_chunk(source: Files) -> None:
    first = write(source)
    before = inodes()
    second = write(Renamed(source.paths))
    assert (second.chunks_written, second.fingerprint) == (0, first.fingerprint)
    assert second.source_digest != first.source_digest
    after = inodes()
    assert {name for name in before if after[name] != before[name]} == {"dataset.json"}
    assert write(Renamed(source.paths)).source_digest == second.source_digest
    assert inodes() == after


def test_labels_without_files_are_followed_by_their_value() -> None:
    def labels(numbers: Any) -> list[dict[str, Any]]:
        return [{"number": number, "text": "x" * 3000} for number in numbers]

    first = write(Labels(labels(range(100))), order="source")
    before = inodes()
    numbers = [*range(50), -1, -2, *range(50, 100)]
    assert write(Labels(labels(numbers)), order="source").chunks_written == 1
    assert rewritten(before) == (0, 1)
    before = inodes()
    numbers[3] = -3
    second = write(Labels(labels(numbers)), order="source")
    assert rewritten(before) == (1, 2)
    assert second.samples == first.samples + 2
    dataset = ChunkDataset("train", "out")
    found = [dataset[item] for item in range(len(dataset))]
    assert sorted(label["number"] for label in found) == sorted(numbers)
    assert found == labels(label["number"] for label in found)


def test_equal_labels_are_counted() -> None:
    write(Labels(["a", "b"] * 30 + ["c"]))
    write(Labels(["c", *["a", "b", "b"] * 20]))
    dataset = ChunkDataset("train", "out")
    assert sorted(dataset[item] for item in range(len(dataset))) == ["a"] * 20 + ["b"] * 40 + ["c"]


def test_source_order_is_the_order_of_the_processor(source: Files) -> None:
    write(source, order="source", workers=2)
    labels = check(source)
    assert labels == list(range(0, 10 * COUNT, 10))


def test_shuffled_order_is_that_of_order_md_and_depends_on_the_seed(source: Files) -> None:
    stored = []
    for seed in (0, 1, 2**64 - 1):
        write(source, seed=seed)
        stored.append(check(source))
        key = derive_key("segment", seed, 0, COUNT)
        assert stored[-1] == (10 * permute(np.arange(COUNT), COUNT, key)).tolist()
    assert stored[0] != stored[1] != stored[2] != stored[0]


def test_added_samples_are_shuffled_among_themselves(source: Files) -> None:
    write(source, seed=5)
    add(2001, 80)
    write(listing(), seed=5)
    key = derive_key("segment", 5, 1, 80)
    assert check(listing())[COUNT:] == (2001 + permute(np.arange(80), 80, key)).tolist()


@pytest.mark.parametrize("changed", [{"order": "source"}, {"seed": 1}, {"chunk_bytes": 20 << 10}])
def test_other_options_write_all_anew(source: Files, changed: dict[str, Any]) -> None:
    write(source)
    add(3)
    write(listing())
    info = write(listing(), **changed)
    assert (info.chunks_written, info.segments) == (info.chunks, 1)
    check(listing())
    write(listing(), "fresh", **changed)
    assert snapshot(Path("out/train")) == snapshot(Path("out/fresh"))


@pytest.mark.parametrize("changed", [{"workers": 3}, {"durable": True}, {"workers": None}])
def test_options_that_do_not_decide_the_bytes_change_nothing(source: Files, changed: dict[str, Any]) -> None:
    write(source)
    before = inodes()
    assert write(source, **changed).chunks_written == 0
    assert inodes() == before
