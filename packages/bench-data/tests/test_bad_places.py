"""Names that cannot be, folders that cannot be written, datasets that somebody else writes."""

import subprocess
from pathlib import Path
from typing import Any

import process_tools
import pytest
from bench_data import ChunkDataset, ProcessorDataset, WriteOptions, process_datasets, verify, write_chunks
from bench_data.errors import (
    DatasetLockedError,
    DatasetNotFoundError,
    FormatError,
    NewerFormatError,
    OptionsError,
    SourceError,
    WriteError,
)
from bench_data.zip_reader import DESCRIPTORS_EACH
from data_samples import Computed, Labels, snapshot
from test_bad_input import no_privileges, shared

__all__ = ["shared"]

BAD_NAMES: list[Any] = ["", ".", "..", "a/b", "../a", "/a", "a\\b", "a\0b", "a\nb", None, 5, Path("a"), b"a"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_not_one_folder_is_refused_before_anything_is_touched(name: Any) -> None:
    with pytest.raises(OptionsError, match="cannot be a dataset's name"):
        write_chunks(Labels([1]), name, "out")
    with pytest.raises(OptionsError, match="cannot be a dataset's name"):
        ChunkDataset(name, "out")
    with pytest.raises(OptionsError, match="name"):
        process_datasets(Labels([1]), ChunkDataset, name, "out")
    assert not Path("out").exists()


@pytest.mark.parametrize("name", ["ä", "日本語", "train 1", "-x", ".hidden", "😀", "x" * 255])
def test_any_other_name_is_written_and_read(name: str) -> None:
    assert write_chunks(Labels([5]), name, "out").path == Path("out").absolute() / name
    assert ChunkDataset(name, "out")[0] == 5


def test_a_name_longer_than_a_file_system_allows_is_an_error() -> None:
    with pytest.raises(WriteError, match="File name too long"):
        write_chunks(Labels([1]), "x" * 256, "out")
    with pytest.raises(FormatError, match="File name too long"):
        ChunkDataset("x" * 256, "out")


@pytest.mark.parametrize("place", ["out", "out/train", "out/train/chunks", "out/train/.writing"])
def test_a_file_in_the_place_of_a_folder_is_named_and_kept(place: str) -> None:
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    Path(place).write_text("mine")
    with pytest.raises(WriteError, match=f"cannot write .*{place}"):
        write_chunks(Labels([1]), "train", "out")
    assert Path(place).read_text() == "mine"


@pytest.mark.parametrize("place", ["", "train", "train/chunks", "train/.writing"])
def test_a_folder_without_the_right_to_write_is_named_and_the_write_goes_on_with_it(
    shared: Path, place: str
) -> None:
    root = shared / "out"
    write_chunks(Labels([1]), "warm", root)  # imports what is imported late: only root can read it
    root.chmod(0o777)
    closed = root / place
    with no_privileges():
        closed.mkdir(parents=True, exist_ok=True)
    closed.chmod(0o555)
    with no_privileges(), pytest.raises(WriteError, match=f"cannot write {closed}.*: Permission denied"):
        write_chunks(Labels([1]), "train", root, WriteOptions(workers=1))
    closed.chmod(0o777)
    with no_privileges():
        assert write_chunks(Labels([1]), "train", root, WriteOptions(workers=1)).samples == 1


def test_a_dataset_that_may_only_be_read_is_read(shared: Path) -> None:
    write_chunks(Labels([1, 2, 3]), "train", shared, WriteOptions(order="source"))
    with no_privileges():
        assert ChunkDataset("train", shared).__getitems__([0, 1, 2]) == [1, 2, 3]
        assert verify(shared / "train").ok
        with pytest.raises(WriteError, match="Permission denied"):
            write_chunks(Labels([1, 2]), "train", shared)


def test_reading_what_is_not_there_says_so() -> None:
    for missing in ("train", "other"):
        with pytest.raises(DatasetNotFoundError, match=f"there is no dataset in .*/out/{missing}"):
            ChunkDataset(missing, "out")
        with pytest.raises(DatasetNotFoundError):
            verify(Path("out") / missing)
        Path("out/other").mkdir(parents=True, exist_ok=True)


WRITER = """
import sys
from bench_data import WriteOptions, write_chunks
from data_samples import Computed

def label(item):
    if item == 0:
        print("writing", flush=True)
        sys.stdin.readline()
    return item

write_chunks(Computed(5, label=label), "train", "out", WriteOptions(workers=1))
"""


def test_a_second_writer_is_refused_and_a_reader_is_not() -> None:
    write_chunks(Labels([7]), "train", "out")
    before = snapshot(Path("out"))
    with process_tools.ended(process_tools.start(WRITER, stdin=subprocess.PIPE)) as first:
        assert process_tools.read_line(first.stdout) == "writing"
        with pytest.raises(DatasetLockedError) as caught:
            write_chunks(Labels([1]), "train", "out")
        assert str(caught.value).startswith(f"another process is writing {Path('out/train').absolute()}\n")
        assert snapshot(Path("out")) == before
        assert ChunkDataset("train", "out")[0] == 7
        assert write_chunks(Labels([1]), "other", "out").samples == 1
        _, err = first.communicate("\n" * 9, timeout=process_tools.PATIENCE)
        assert (first.returncode, err) == (0, "")
    assert len(ChunkDataset("train", "out")) == 5


def test_a_killed_writer_holds_no_lock() -> None:
    with process_tools.ended(process_tools.start(WRITER, stdin=subprocess.PIPE)) as first:
        assert process_tools.read_line(first.stdout) == "writing"
    assert write_chunks(Labels([1, 2]), "train", "out").samples == 2


def test_a_processor_cannot_write_the_dataset_that_it_is_read_for() -> None:
    def nested(item: int) -> int:
        write_chunks(Labels([1]), "train", "out")
        return item

    with pytest.raises(SourceError, match=r"(?s)sample 0: Computed raised .*DatasetLockedError"):
        write_chunks(Computed(2, label=nested), "train", "out")
    assert write_chunks(Labels([1]), "train", "out").samples == 1


def test_a_newer_dataset_is_neither_read_nor_written_over() -> None:
    write_chunks(Labels([1]), "train", "out")
    manifest = Path("out/train/dataset.json")
    manifest.write_bytes(manifest.read_bytes().replace(b'"version":1', b'"version":2'))
    before = snapshot(Path("out"))
    message = (
        f"{manifest.absolute()} has format version 2, this release reads up to 1\nHint: Update bench-data."
    )
    with pytest.raises(NewerFormatError) as caught:
        ChunkDataset("train", "out")
    assert str(caught.value) == message
    with pytest.raises(NewerFormatError, match="has format version 2"):
        verify("out/train")
    with pytest.raises(NewerFormatError, match="has format version 2"):
        write_chunks(Labels([1, 2]), "train", "out")
    assert snapshot(Path("out")) == before


class Counted(ProcessorDataset):
    def __len__(self) -> int:
        return 3


def test_a_processor_without_files_and_labels_is_written() -> None:
    assert write_chunks(Counted(), "train", "out").samples == 3
    assert ChunkDataset("train", "out").__getitems__([0, 1, 2]) == [None, None, None]


FEW_DESCRIPTORS = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from bench_data import ChunkDataset, DataError, FileContent, WriteOptions, verify, write_chunks
from data_samples import Computed

def files(item):
    return [FileContent(f"{item}.bin", b"%08d" % item * 375)]

options = WriteOptions(workers=2, chunk_bytes=10_000, order="source", durable=False)
info = write_chunks(Computed(600, files), "train", "out", options)
assert info.chunks > 128, info
dataset = ChunkDataset("train", "out")
for step in (7, 11):
    found = [(label, file.read_bytes()) for label, (file,) in (dataset[item] for item in range(0, 600, step))]
    assert found == [(item, b"%08d" % item * 375) for item in range(0, 600, step)]
assert [label for label, _ in dataset.__getitems__(range(50))] == [*range(50)]
assert dataset.stacked(range(0, 600, 50)).tolist() == [*range(0, 600, 50)]
held_files = [files[0] for _, files in dataset.__getitems__(range(600))]
assert [file.read_bytes()[:8] for file in held_files] == [b"%08d" % item for item in range(600)]
assert dataset.stacked(range(600)).tolist() == [*range(600)]
assert verify("out/train").ok
for count in range(601, 641):
    info = write_chunks(Computed(count, files), "train", "out", options)
assert info.segments == 41, info
assert len(ChunkDataset("train", "out").split(0.5)[0]) == 320
held = []
try:
    for item in range(0, 600, 5):
        held.append(dataset[item][1][0].view())
except DataError as error:
    print(error)
"""


def test_sixty_four_descriptors_are_enough_and_more_held_views_are_a_clear_error() -> None:
    said = process_tools.run(FEW_DESCRIPTORS)
    if DESCRIPTORS_EACH == 1:  # since Python 3.13 a view holds no descriptor
        assert said == ""
    else:
        assert "Too many open files" in said


SOFT_LIMIT = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 1024))
from bench_data import ChunkDataset, FileContent, WriteOptions, write_chunks
from bench_data.zip_reader import StoredZip
from data_samples import Computed

options = WriteOptions(workers=1, chunk_bytes=3000, durable=False)
processor = Computed(100, lambda n: [FileContent("a", b"x" * 3000)])
assert write_chunks(processor, "train", "out", options).chunks == 100
opened = []
first = StoredZip.__init__

def count(self, path, *args, **kwargs):
    opened.append(path)
    first(self, path, *args, **kwargs)

StoredZip.__init__ = count
dataset = ChunkDataset("train", "out")
for _ in range(3):
    for item in range(100):
        dataset[item]
print(len([path for path in opened if path.suffix == ".zip"]))
"""


def test_a_soft_limit_is_raised_so_that_no_chunk_is_opened_twice() -> None:
    assert process_tools.run(SOFT_LIMIT) == "100\n"
