"""process_datasets: write or keep, then load samples through the user's class as training will."""

import os
import re
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from bench_data import ChunkDataset, WriteOptions, dataset_info, loading_test, process_datasets, write_chunks
from bench_data.errors import LoadingTestError, OptionsError, SourceError
from data_samples import Files, Labels, content, make_files
from writer_tools import inodes

COUNT = 60


class Small(Files):
    write_options = WriteOptions(workers=1, chunk_bytes=20 << 10, durable=False)


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Small:
    monkeypatch.setenv("BENCH_DATA_ROOT", "out")
    return Small(make_files(Path("source"), COUNT))


class Plain(ChunkDataset):
    """Notes which samples are loaded, and by which process."""

    def __getitem__(self, item: int) -> Any:
        label, (file,) = super().__getitem__(item)
        assert file.read_bytes() == content(label)
        Path("loaded").mkdir(exist_ok=True)
        Path("loaded", f"{item}-{os.getpid()}").touch()
        return label


def loaded() -> tuple[list[int], set[int]]:
    """Samples that were loaded, and the processes that did."""
    pairs = [name.split("-") for name in os.listdir("loaded")] if Path("loaded").is_dir() else []
    return sorted(int(item) for item, _ in pairs), {int(process) for _, process in pairs}


def test_it_writes_and_loads_in_other_processes_and_says_so(
    source: Small, capfd: pytest.CaptureFixture[str]
) -> None:
    info = process_datasets(source, Plain, "train")
    assert info.chunks_written == info.chunks == len(list(Path("out/train/chunks").iterdir()))
    out, err = capfd.readouterr()
    size = f"{info.bytes / 1e6:.1f} MB in {info.chunks} chunks"
    assert out == ""
    assert re.fullmatch(
        rf"train: 60 samples, {size} \({info.chunks} written, 0 kept\) in \d\.\d s\n"
        r"train: loading test passed \(60 samples\) in \d+\.\d s\n",
        err,
    )
    items, processes = loaded()
    assert items == list(range(COUNT))
    assert os.getpid() not in processes


def test_nothing_is_written_or_loaded_again_if_nothing_changed(
    source: Small, capfd: pytest.CaptureFixture[str]
) -> None:
    first = process_datasets(source, Plain, "train")
    before, seen = inodes(), loaded()
    capfd.readouterr()
    second = process_datasets(source, Plain, "train")
    assert (second.chunks_written, second.fingerprint) == (0, first.fingerprint)
    assert (inodes(), loaded()) == (before, seen)
    nothing = f"train: nothing changed (60 samples in {first.chunks} chunks)\n"
    assert capfd.readouterr().err == f"{nothing}train: loading test passed before\n"


def test_an_overwritten_file_and_an_edited_label_are_seen(
    source: Small, capfd: pytest.CaptureFixture[str]
) -> None:
    class Edited(Small):
        def get_label_and_numeric_data(self, item: int) -> int:
            return -5 if item == 5 else int(super().get_label_and_numeric_data(item))

    class Negative(ChunkDataset):
        pass

    first = process_datasets(source, Negative, "train")
    Path(source.paths[3]).write_bytes(b"other")
    assert process_datasets(source, Negative, "train").chunks_written == 1
    capfd.readouterr()
    third = process_datasets(Edited(source.paths), Negative, "train")
    assert (third.chunks_written, third.chunks) == (1, first.chunks)
    err = capfd.readouterr().err
    assert f"({1} written, {first.chunks - 1} kept)" in err
    assert "loading test passed (60 samples)" in err
    dataset = ChunkDataset("train")
    found = {label: file.read_bytes() for label, (file,) in (dataset[item] for item in range(COUNT))}
    assert (found[3], found[-5], 5 in found) == (b"other", content(5), False)


class Failing(ChunkDataset):
    def __getitem__(self, item: int) -> Any:
        label, _ = super().__getitem__(item)
        if label == 41:
            raise ValueError(f"cannot use {label}")
        return label


def test_a_sample_that_cannot_be_loaded_is_named_with_the_line_of_the_user(source: Small) -> None:
    line = Failing.__getitem__.__code__.co_firstlineno + 3
    for _ in range(2):  # what failed is tested again
        with pytest.raises(LoadingTestError) as caught:
            process_datasets(source, Failing, "train")
        item = ChunkDataset("train").stacked(range(COUNT)).tolist().index(41)
        first, second, third = str(caught.value).splitlines()[:3]
        assert first == f"sample {item} could not be loaded: ValueError: cannot use 41"
        assert second == f'  File "{__file__}", line {line}, in __getitem__'
        assert third.strip() == 'raise ValueError(f"cannot use {label}")'
        assert "bench_data/" not in str(caught.value)
    assert dataset_info("out/train").samples == COUNT  # it is written all the same

    assert not loaded()[0]


class Killed(ChunkDataset):
    def __getitem__(self, item: int) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


class Exiting(ChunkDataset):
    def __getitem__(self, item: int) -> Any:
        sys.exit("enough") if item == 7 else None


class Unwilling(ChunkDataset):
    def __setstate__(self, state: Any) -> None:
        raise OSError("no camera here")


class Stuck(ChunkDataset):
    def __getitem__(self, item: int) -> Any:
        threading.Event().wait()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Killed, "a worker process was killed while it loaded samples 0 to 59 (A worker process "),
        (Exiting, "sample 7 could not be loaded: SystemExit: enough\n  File "),
        (Unwilling, "the dataset cannot be rebuilt in a worker process: OSError: no camera here\n  File "),
        (Stuck, "no sample of train was loaded within 0 seconds"),
    ],
)
def test_whatever_ends_a_worker_is_an_error_of_ours(
    source: Small, monkeypatch: pytest.MonkeyPatch, kind: type[ChunkDataset], message: str
) -> None:
    if kind is Stuck:
        monkeypatch.setattr(loading_test, "SECONDS", 0.2)
    with pytest.raises(LoadingTestError) as caught:
        process_datasets(source, kind, "train")
    assert str(caught.value).startswith(message)
    assert not Path("out/train/.loading-test").exists()


class Here(ChunkDataset):
    """Has what no other process can have, so it is loaded in this one."""

    def __init__(self, name: str, bad: int = -1) -> None:
        super().__init__(name)
        self.lock, self.bad, self.asked = threading.Lock(), bad, 0

    def __getitem__(self, item: int) -> Any:
        if item == self.bad:
            raise KeyError("bad")
        Path(f"asked-{item}").touch()
        return super().__getitem__(item)


def test_a_class_that_cannot_be_sent_to_workers_is_loaded_here(source: Small) -> None:
    process_datasets(source, Here, "train")
    assert len(list(Path().glob("asked-*"))) == COUNT
    with pytest.raises(LoadingTestError, match=r"^sample 44 could not be loaded: KeyError: 'bad'\n  File "):
        process_datasets(source, Here, "train", bad=44)


def test_the_time_is_up_after_sixty_seconds_and_the_rest_is_not_counted_as_passed(
    source: Small, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert loading_test.SECONDS == 60
    monkeypatch.setattr(loading_test, "SECONDS", 0.0)
    for _ in range(2):
        process_datasets(source, Here, "train")
        assert len(list(Path().glob("asked-*"))) == loading_test.BATCH
        assert (
            "train: loading test passed (16 samples of 60; the time was up) in 0." in capfd.readouterr().err
        )
    monkeypatch.setenv("BENCH_FULL_TEST", "1")  # takes as long as it takes
    process_datasets(source, Here, "train")
    assert len(list(Path().glob("asked-*"))) == COUNT


class Numbers(ChunkDataset):
    """Labels only."""

    def __getitem__(self, item: int) -> Any:
        Path(f"asked-{item}").touch()
        return super().__getitem__(item)


class Many(Labels):
    write_options = WriteOptions(workers=1, chunk_bytes=2 << 10, durable=False)


def asked() -> set[int]:
    return {int(path.name.removeprefix("asked-")) for path in Path().glob("asked-*")}


def test_a_thousand_samples_and_the_ends_of_chunks_are_loaded_or_all_if_wanted(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    info = process_datasets(Many(range(1800)), Numbers, "train", "out")
    first = asked()
    starts = ChunkDataset("train", "out").chunk_starts
    ends = {*starts[:-1].tolist(), *(starts[1:] - 1).tolist()}
    assert len(starts) == info.chunks + 1 == 9
    assert ends <= first
    assert 1000 <= len(first) <= 1000 + len(ends)
    assert min(len([i for i in first if i // 300 == part]) for part in range(6)) > 100  # from everywhere
    assert sorted(first) == loading_test.sampled_indices(ChunkDataset("train", "out"))
    monkeypatch.setenv("BENCH_FULL_TEST", "1")
    process_datasets(Many(range(1800)), Numbers, "train", "out")
    assert asked() == set(range(1800))
    assert "loading test passed (1,800 samples)" in capfd.readouterr().err


class Given(ChunkDataset):
    """Takes what it likes; the dataset's name and root are found by their names."""

    def __init__(self, size: int, *, root: str, name: str, workers: str = "mine") -> None:
        super().__init__(name, root)
        Path(f"made-{size}-{workers}").touch()


class Passing(ChunkDataset):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class Both(ChunkDataset):
    def __init__(self, size: int, *args: Any, chunk_bytes: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        Path(f"made-{size}-{chunk_bytes}").touch()


@pytest.mark.parametrize(
    ("kind", "args", "kwargs", "made"),
    [
        (Given, (5,), {"root": "there", "name": "train", "workers": "all"}, "made-5-all"),
        (ChunkDataset, (), {"name": "train", "root": "there"}, "there"),
        (Passing, ("train",), {"root": Path("there")}, "there"),
        (Both, (3, "train", "there"), {"chunk_bytes": "x"}, "made-3-x"),
    ],
)
def test_all_arguments_reach_the_class_of_the_user(
    source: Small, kind: type[ChunkDataset], args: tuple[Any, ...], kwargs: dict[str, Any], made: str
) -> None:
    info = process_datasets(source, kind, *args, **kwargs)
    assert info.path == Path.cwd() / "there/train"
    assert Path(made).exists()
    fresh = write_chunks(source, "train", "fresh", Small.write_options)
    assert info.fingerprint == fresh.fingerprint


def test_other_arguments_and_another_text_of_the_class_are_tested_again(
    source: Small, capfd: pytest.CaptureFixture[str]
) -> None:
    class Sized(ChunkDataset):
        def __init__(self, name: str, size: int) -> None:
            super().__init__(name)

    class Edited(ChunkDataset):
        def __init__(self, name: str, size: int) -> None:
            super().__init__(name)
            self.size = size

    said = []
    for kind, size in [(Sized, 1), (Sized, 1), (Sized, 2), (Edited, 2), (Edited, 2)]:
        process_datasets(source, kind, "train", size)
        said.append("passed before" in capfd.readouterr().err)
    assert said == [False, True, False, False, True]


class Elsewhere(ChunkDataset):
    def __init__(self, name: str) -> None:
        super().__init__("other")


@pytest.mark.parametrize(
    ("kind", "args", "message"),
    [
        (Small, ("train",), "<class 'test_process.Small'> is not a ChunkDataset class"),
        (None, ("train",), "None is not a ChunkDataset class"),
        (Plain, (), "Plain cannot be made with these arguments: missing a required argument: 'name'"),
        (Plain, ("train", "out", 3), "Plain cannot be made with these arguments: too many positional"),
        (Plain, (3,), "Plain: 3 is not a dataset's name"),
        (Passing, (), "Passing: None is not a dataset's name"),
        (Plain, ("a/b",), "'a/b' cannot be a dataset's name"),
    ],
)
def test_arguments_that_cannot_be_are_refused_before_anything_is_written(
    source: Small, kind: Any, args: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(OptionsError) as caught:
        process_datasets(source, kind, *args)
    assert str(caught.value).startswith(message)
    assert not Path("out").exists()


def test_an_object_in_place_of_the_class_and_a_class_of_another_dataset_are_refused(source: Small) -> None:
    other = process_datasets(source, ChunkDataset, "other")
    with pytest.raises(OptionsError, match=r"is not a ChunkDataset class\nHint: Pass the class"):
        process_datasets(source, ChunkDataset("other"), "train")  # type: ignore[arg-type]
    with pytest.raises(OptionsError, match=f"^Elsewhere opened {other.path}, and .*/out/train was written"):
        process_datasets(source, Elsewhere, "train")


def test_a_source_that_cannot_be_read_is_reported_before_the_loading_test(source: Small) -> None:
    Path(source.paths[3]).unlink()
    with pytest.raises(SourceError, match=f"^sample 3, '{source.paths[3]}': No such file"):
        process_datasets(source, Plain, "train")
    assert loaded() == ([], set())
