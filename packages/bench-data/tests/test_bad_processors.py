"""Processors that fail, lie or change their mind: an error that names the sample, and nothing lost."""

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import process_tools
import pytest
from bench_data import ChunkDataset, FileContent, ProcessorDataset, WriteOptions, verify, write_chunks
from bench_data.errors import DataError, LabelError, OptionsError, SourceError
from data_samples import Computed, Labels

COUNT = 100
BAD = 57


def options(workers: int = 1) -> WriteOptions:
    """A dozen chunks of samples with 3,000 bytes, in the order of the source."""
    return WriteOptions(workers=workers, chunk_bytes=32 << 10, order="source", durable=False)


def some_file(item: int) -> list[FileContent]:
    return [FileContent(f"{item}.bin", b"%08d" % item * 375)]


class Length(ProcessorDataset):
    def __init__(self, length: Any) -> None:
        self.length = length

    def __len__(self) -> int:
        if isinstance(self.length, Exception):
            raise self.length
        return self.length  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (0, "Length has no samples (its __len__ is 0)"),
        (-1, "Length.__len__ failed: ValueError: __len__() should return >= 0"),
        (2**64, "Length.__len__ failed: OverflowError: cannot fit 'int' into an index-sized integer"),
        (1.5, "Length.__len__ failed: TypeError: 'float' object cannot be interpreted as an integer"),
        (None, "Length.__len__ failed: TypeError: 'NoneType' object cannot be interpreted as an integer"),
        (RuntimeError("no idea"), "Length.__len__ failed: RuntimeError: no idea"),
    ],
)
def test_a_length_that_cannot_be_is_refused(length: Any, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        write_chunks(Length(length), "train", "out")
    assert str(caught.value).startswith(message)
    assert not Path("out/train/dataset.json").exists()


def test_an_emptied_source_leaves_the_previous_version() -> None:
    write_chunks(Labels([1, 2]), "train", "out")
    with pytest.raises(SourceError, match="has no samples"):
        write_chunks(Labels([]), "train", "out")
    assert sorted(ChunkDataset("train", "out").stacked([0, 1])) == [1, 2]


def broken_at_bad(item: int) -> int:
    if item == BAD:
        raise KeyError("user's own")
    return item


def _resumes(
    bad: ProcessorDataset, good: ProcessorDataset, workers: int, match: str, kind: type[DataError]
) -> None:
    """The bad one is refused; the good one goes on from there."""
    with pytest.raises(kind, match=match) as caught:
        write_chunks(bad, "train", "out", options(workers))
    assert str(caught.value).startswith(f"sample {BAD}")
    assert not Path("out/train/dataset.json").exists()
    info = write_chunks(good, "train", "out", options(workers))
    assert 0 < info.chunks_written < info.chunks
    assert info.samples == COUNT
    assert verify(info.path).ok


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("method", ["files", "label"])
def test_a_processor_that_raises_is_shown_with_its_own_line(method: str, workers: int) -> None:
    def bad_file(item: int) -> list[FileContent]:
        return some_file(broken_at_bad(item))

    files, label = (bad_file, None) if method == "files" else (some_file, broken_at_bad)
    match = rf"sample {BAD}: Computed raised KeyError: \"user's own\"\n(.*\n)*.*in broken_at_bad\n *raise Key"
    _resumes(Computed(COUNT, files, label), Computed(COUNT, some_file), workers, match, SourceError)


def test_a_processor_with_fewer_samples_than_it_says_is_named() -> None:
    few = list(range(BAD + 1))  # BAD + 1 is looked at by the plan
    with pytest.raises(SourceError, match=f"^sample {BAD + 1}: Computed raised IndexError: list index"):
        write_chunks(Computed(COUNT, some_file, lambda item: few[item]), "train", "out", options())
    assert not Path("out/train/dataset.json").exists()


@pytest.mark.parametrize(
    ("files", "match"),
    [
        (5, "get_file returned 5"),
        (None, "get_file returned None"),
        ({"a": "b"}, "get_file returned {'a': 'b'}"),
        (b"path", "get_file returned b'path'"),
        ([5.5], "expected str, bytes or os.PathLike object, not float|should be string"),
        ([None], "NoneType"),
        (["plain", ["nested"]], "not list"),
    ],
)
def test_what_is_no_list_of_paths_is_refused(files: Any, match: str) -> None:
    Path("plain").touch()
    bad = Computed(COUNT, lambda item: files if item == BAD else some_file(item))
    _resumes(bad, Computed(COUNT, some_file), 1, match, SourceError)


@pytest.mark.parametrize(
    ("usual", "other", "workers"),
    [
        (1, "one", 2),
        (1, 1.5, 1),
        (1, None, 1),
        (1, True, 1),
        (None, 1, 1),
        ("a", b"a", 1),
        ((1, 2), [1, 2], 1),
        ((1, 2), (1, 2, 3), 1),
        ({"a": 1}, {"b": 1}, 1),
        ({"a": 1}, {"a": 1, "b": 2}, 1),
        (np.zeros(2), np.zeros(2, np.float32), 1),
        (np.zeros(2), np.zeros((2, 1)), 1),
        (np.zeros(2), [0.0, 0.0], 1),
        (np.float32(0), 0.0, 1),
        (1, 2**70, 1),
        (1, object(), 1),
        (1, {1, 2}, 1),
    ],
)
def test_a_label_of_another_structure_is_named(usual: Any, other: Any, workers: int) -> None:
    bad = Computed(COUNT, some_file, lambda item: other if item == BAD else usual)
    _resumes(bad, Computed(COUNT, some_file, lambda item: usual), workers, f"^sample {BAD}: ", LabelError)


def test_an_update_whose_labels_have_another_structure_leaves_the_previous_version() -> None:
    write_chunks(Computed(COUNT, some_file), "train", "out", options())
    changed = Computed(COUNT + 50, some_file, lambda item: item if item < COUNT else float(item))
    with pytest.raises(LabelError, match=f"^sample {COUNT}: a label's structure changed: float where .* int"):
        write_chunks(changed, "train", "out", options())
    assert ChunkDataset("train", "out")[BAD][0] == BAD


def test_labels_that_all_have_another_structure_are_written_anew() -> None:
    write_chunks(Computed(COUNT, some_file), "train", "out", options())
    info = write_chunks(Computed(COUNT, some_file, float), "train", "out", options())
    assert (info.schema_text, info.chunks_written) == ("float", info.chunks)


class Unpicklable(Computed):
    def __init__(self, files: Callable[[int], Any]) -> None:
        super().__init__(COUNT, files)
        self.lock = threading.Lock()


def test_a_processor_that_cannot_be_pickled_is_refused_with_two_workers_and_written_with_one() -> None:
    with pytest.raises(OptionsError) as caught:
        write_chunks(Unpicklable(some_file), "train", "out", options(2))
    assert str(caught.value).startswith(
        "Unpicklable cannot be sent to worker processes: cannot pickle '_thread.lock' object"
    )
    assert "workers=1" in str(caught.value)
    assert write_chunks(Unpicklable(some_file), "train", "out", options(1)).samples == COUNT
    with pytest.raises(OptionsError, match="cannot be sent"):
        write_chunks(Unpicklable(some_file), "other", "out", options(2))


class FailsOnArrival(Computed):
    def __setstate__(self, state: dict[str, Any]) -> None:
        Path("arrived").touch()
        raise RuntimeError("no such licence")


def some_file_when_the_worker_is_there(item: int) -> list[FileContent]:
    """The writing process would do all blocks itself before a worker has started."""
    if list(Path("out").glob("*/.writing/*/processor.pickle")):
        process_tools.wait_until(Path("arrived").exists, "the worker")
        time.sleep(0.05)
    return some_file(item)


def test_a_processor_that_cannot_be_unpickled_is_named() -> None:
    with pytest.raises(
        OptionsError, match="cannot be rebuilt in a worker process: RuntimeError: no such lic"
    ):
        write_chunks(FailsOnArrival(COUNT, some_file_when_the_worker_is_there), "train", "out", options(2))
    assert write_chunks(FailsOnArrival(COUNT, some_file), "train", "out", options(1)).samples == COUNT


class Odd(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")
        self.lock = threading.Lock()


def raise_odd(item: int) -> int:
    if item == BAD:
        raise Odd(1, 2)
    return item


def test_an_exception_that_cannot_be_pickled_still_names_its_sample() -> None:
    bad = Computed(COUNT, some_file, raise_odd)
    _resumes(bad, Computed(COUNT, some_file), 2, f"sample {BAD}: Computed raised .*Odd: 1 and 2", SourceError)


def leave(item: int) -> int:
    if item == BAD:
        sys.exit("enough")
    return item


def test_a_processor_that_exits_ends_the_write_and_it_resumes() -> None:
    with pytest.raises((SystemExit, DataError)):
        write_chunks(Computed(COUNT, some_file, leave), "train", "out", options())
    assert not list(Path("out/train/.writing").rglob("*.tmp"))
    info = write_chunks(Computed(COUNT, some_file), "train", "out", options())
    assert 0 < info.chunks_written < info.chunks


def test_a_sample_of_very_many_files_is_written_and_read() -> None:
    many = [FileContent(f"{number}", b"%d" % number) for number in range(70_000)]
    info = write_chunks(Computed(1, lambda _: many), "train", "out")
    files = ChunkDataset("train", "out")[0][1]
    assert len(files) == 70_000
    assert (files[69_999].name, files[69_999].read_bytes()) == ("69999", b"69999")
    assert verify(info.path).ok


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\\b", "a\0b", "x" * 256, "ä" * 128])
def test_a_file_in_memory_has_a_base_name(name: str) -> None:
    with pytest.raises(OptionsError, match="is not a file's base name"):
        FileContent(name, b"")
