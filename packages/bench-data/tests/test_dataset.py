"""ChunkDataset: a sequence of samples that can be pickled, forked and cut down."""

import copy
import multiprocessing
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_data import (
    ChunkDataset,
    ChunkFile,
    DatasetInfo,
    FileContent,
    WriteOptions,
    dataset_info,
    verify,
    write_chunks,
)
from bench_data.errors import CorruptChunkError, DatasetNotFoundError, FormatError, OptionsError
from data_samples import Computed, Files, Labels, content, make_files, open_descriptors
from process_tools import run
from torch.utils.data import ConcatDataset, DataLoader

COUNT = 60
SIZE = 1000


def options(chunk_bytes: int = 8 << 10) -> WriteOptions:
    return WriteOptions(workers=1, chunk_bytes=chunk_bytes, order="source", durable=False)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A dataset `x` of 60 files of 1,000 bytes in several chunks, and its folder's root."""
    files = make_files(tmp_path / "source", COUNT, SIZE)
    assert write_chunks(Files(files), "x", root=tmp_path, options=options()).chunks > 5
    return tmp_path


@pytest.fixture
def dataset(written: Path) -> ChunkDataset:
    return ChunkDataset("x", root=written)


def read(sample: Any) -> tuple[Any, list[bytes]]:
    """A sample with its files' bytes."""
    label, files = sample
    return label, [file.read_bytes() for file in files]


def every(samples: Any) -> list[Any]:
    """All samples, as Python iterates over what has numbered items."""
    return list(samples)


def expected(number: int) -> tuple[int, list[bytes]]:
    return number, [content(number, SIZE)]


class Negated(ChunkDataset):
    def __getitem__(self, item: int) -> Any:
        label, files = super().__getitem__(item)
        return -label, files[0].name


def test_a_sample_is_its_label_and_a_list_of_its_files(dataset: ChunkDataset) -> None:
    label, files = dataset[17]
    assert (label, type(files), type(files[0])) == (17, list, ChunkFile)
    assert files[0].name == "file-000017.bin"
    assert [read(dataset[n]) for n in range(COUNT)] == [expected(n) for n in range(COUNT)]


@pytest.mark.parametrize(
    ("item", "number"),
    [(0, 0), (59, 59), (-1, 59), (-60, 0), (np.int64(7), 7), (np.uint8(8), 8), (np.int32(-2), 58), (True, 1)],
)
def test_samples_are_numbered_as_a_list_is(dataset: ChunkDataset, item: int, number: int) -> None:
    assert read(dataset[item]) == expected(number)
    assert [read(sample) for sample in dataset.__getitems__([item, 3])] == [expected(number), expected(3)]


@pytest.mark.parametrize("item", [60, -61, np.int64(60), 10**30, -(10**30)])
def test_a_number_out_of_range_is_an_index_error(dataset: ChunkDataset, item: int) -> None:
    for one in (dataset, dataset.split(1.0)[0]):
        with pytest.raises(IndexError, match=f"^sample {item} of 60$"):
            one[item]
    with pytest.raises(IndexError, match=f"^sample {item} of 60$"):
        dataset.__getitems__([0, item])


@pytest.mark.parametrize("item", [1.0, "1", None, slice(2), [1]])
def test_what_is_no_integer_is_a_type_error(dataset: ChunkDataset, item: Any) -> None:
    with pytest.raises(TypeError):
        dataset[item]


def test_iteration_ends(dataset: ChunkDataset) -> None:
    assert len(dataset) == COUNT
    assert [label for label, _ in every(dataset)] == list(range(COUNT))
    part = dataset.split(0.1)[0]
    assert [label for label, _ in every(part)] == part.indices.tolist()


@pytest.mark.parametrize("items", [[5, 50, 5, -1], (5, 50, 5, -1), np.array([5, 50, 5, -1]), []])
def test_many_samples_come_in_the_order_asked_for(dataset: ChunkDataset, items: Any) -> None:
    assert [read(sample) for sample in dataset.__getitems__(items)] == [expected(n % COUNT) for n in items]


def test_many_samples_go_through_the_users_transform(written: Path) -> None:
    ds = Negated("x", root=written)
    assert ds[5] == (-5, "file-000005.bin")
    assert ds.__getitems__([5, -1]) == [(-5, "file-000005.bin"), (-59, "file-000059.bin")]
    assert ds.split(1.0)[0].__getitems__([5]) == [(-5, "file-000005.bin")]


def test_two_datasets_add_up(dataset: ChunkDataset) -> None:
    both = dataset + dataset
    assert isinstance(both, ConcatDataset)
    assert read(both[COUNT + 3]) == expected(3)


@pytest.mark.parametrize("again", [lambda ds: pickle.loads(pickle.dumps(ds)), copy.deepcopy, copy.copy])
def test_a_copy_reads_as_the_first_one_does(written: Path, again: Callable[[Any], Any]) -> None:
    ds = Negated("x", root=written)
    assert ds[5] == (-5, "file-000005.bin")
    one: Any
    for one in (ds, ds.split(0.5)[1]):
        other = again(one)
        assert type(other) is type(one)
        assert other.fingerprint == one.fingerprint
        assert every(other) == every(one)
    assert (again(ds).name, again(ds).info) == ("x", ds.info)


def test_a_copy_is_read_in_another_working_folder(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(written)
    pickled = pickle.dumps((ds := ChunkDataset("x", root="."), ds[1]))
    monkeypatch.chdir("/")
    found, sample = pickle.loads(pickled)
    assert read(found[30]) == expected(30)
    assert read(sample) == expected(1)


def test_a_pickle_holds_no_data(dataset: ChunkDataset) -> None:
    before = pickle.dumps(dataset)
    for index in range(COUNT):
        read(dataset[index])
    assert pickle.dumps(dataset) == before


def _read_all(ds: Any, offset: int, barrier: Any, results: Any) -> None:
    barrier.wait(60)
    order = [(index * 7 + offset) % COUNT for index in range(COUNT)]
    good = all(read(ds[index]) == expected(index) for _ in range(3) for index in order)
    results.put((offset, good))


def test_forked_processes_read_at_the_same_time(dataset: ChunkDataset) -> None:
    held = [dataset[index] for index in range(0, COUNT, 5)]  # open before the fork
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(5), context.Queue()
    children = [context.Process(target=_read_all, args=(dataset, k, barrier, results)) for k in range(4)]
    for child in children:
        child.start()
    _read_all(dataset, 4, barrier, results)
    assert sorted(results.get(timeout=60) for _ in range(5)) == [(k, True) for k in range(5)]
    for child in children:
        child.join()
        child.close()
    results.close()
    results.join_thread()
    assert [read(sample) for sample in held] == [expected(index) for index in range(0, COUNT, 5)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_made_by_hand_gives_each_sample_once(written: Path, workers: int) -> None:
    ds: Any = Negated("x", root=written)
    loader: DataLoader[Any] = DataLoader(ds, batch_size=7, shuffle=True, num_workers=workers)
    for _ in range(2):
        found = [
            (int(label), name) for labels, names in loader for label, name in zip(labels, names, strict=True)
        ]
        assert found != sorted(found)
        assert sorted(found) == sorted((-n, f"file-{n:06d}.bin") for n in range(COUNT))


def test_no_descriptor_is_left(written: Path) -> None:
    before = open_descriptors()
    ds = ChunkDataset("x", root=written)
    samples = [ds[index] for index in range(COUNT)]
    view = samples[3][1][0].view()
    ds.stacked(range(COUNT))
    assert len(open_descriptors()) > len(before)
    del ds, samples
    assert bytes(view) == content(3, SIZE)
    view.release()
    del view
    assert open_descriptors() == before


FEW = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
import numpy as np
from bench_data import ChunkDataset
from data_samples import content

ds = ChunkDataset("x", root=sys.argv[1])
assert ds.info.chunks >= 100, ds.info
numbers = np.random.default_rng(0).integers(0, len(ds), 2000).tolist()
for number in numbers:
    label, (file,) = ds[number]
    assert (label, file.read_bytes()) == (number, content(number, 1000))
for number in numbers[:300]:
    assert bytes(ds[number][1][0].view()) == content(number, 1000)
    with open(ds[number][1][0], "rb") as file:
        assert file.read() == content(number, 1000)
assert ds.stacked(numbers).tolist() == numbers
batch = [files[0].name for _, files in ds.__getitems__(numbers[:200])]
assert batch == [f"file-{number:06d}.bin" for number in numbers[:200]]
print("read")
"""


def test_64_descriptors_are_enough_for_any_number_of_chunks(tmp_path: Path) -> None:
    files = make_files(tmp_path / "source", 400, SIZE)
    write_chunks(Files(files), "x", root=tmp_path, options=options(4 << 10))
    assert run(FEW, tmp_path) == "read\n"


def test_a_chunk_that_is_renamed_over_while_open_keeps_giving_the_old_bytes(written: Path) -> None:
    ds = ChunkDataset("x", root=written)
    first = ds[0]
    chunks = sorted((written / "x" / "chunks").iterdir())
    for one, other in zip(chunks, [*chunks[1:], chunks[0]], strict=True):
        (written / "swapped").write_bytes(other.read_bytes())
        os.replace(written / "swapped", one)
    assert read(first) == read(ds[0]) == expected(0)
    with pytest.raises(CorruptChunkError, match=str(written / "x" / "chunks")):
        ds[COUNT - 1]


def test_chunks_that_an_update_removed_are_read_on_while_open_and_missed_when_not(written: Path) -> None:
    ds = ChunkDataset("x", root=written)
    opened = ds[0]
    write_chunks(Labels(["other"]), "x", root=written, options=options())
    assert read(opened) == read(ds[0]) == expected(0)
    with pytest.raises(CorruptChunkError, match=r"is missing\nHint: Was the dataset rewritten"):
        ds[COUNT - 1]
    assert every(ChunkDataset("x", root=written)) == ["other"]


def _some_files(number: int) -> list[FileContent]:
    return [FileContent("same.txt", b"%d %d" % (number, k)) for k in range(number % 4)]


@pytest.mark.parametrize("chunk_bytes", [1 << 10, 64 << 20])
def test_samples_have_none_to_three_files_of_one_name(chunk_bytes: int, tmp_path: Path) -> None:
    write_chunks(Computed(40, _some_files), "x", root=tmp_path, options=options(chunk_bytes))
    ds = ChunkDataset("x", root=tmp_path)
    for number in range(40):
        label, files = ds[number]
        assert label == number
        assert [file.name for file in files] == ["same.txt"] * (number % 4)
        assert [file.read_bytes() for file in files] == [file.data for file in _some_files(number)]
    assert verify(tmp_path / "x").ok


@pytest.mark.parametrize("number_with_files", [0, 19, 39])
def test_one_sample_with_a_file_makes_all_of_them_pairs(number_with_files: int, tmp_path: Path) -> None:
    def files(number: int) -> list[FileContent]:
        return [FileContent("a", b"b")] * 2 if number == number_with_files else []

    write_chunks(Computed(40, files), "x", root=tmp_path, options=options(1 << 10))
    ds = ChunkDataset("x", root=tmp_path)
    found = [read(ds[number]) for number in range(40)]
    assert found == [(n, [b"b", b"b"] if n == number_with_files else []) for n in range(40)]


@pytest.mark.parametrize("labels", [[(1, 2), (3, 4)], [None, None], [[], []], ["a", ""]])
def test_labels_alone_come_alone(labels: list[Any], tmp_path: Path) -> None:
    write_chunks(Labels(labels), "x", root=tmp_path, options=options())
    ds = ChunkDataset("x", root=tmp_path)
    assert [ds[0], ds[1]] == ds.__getitems__([0, 1]) == labels


def test_info_is_what_was_written(written: Path) -> None:
    info = dataset_info(written / "x")
    chunks = list((written / "x" / "chunks").iterdir())
    assert type(info) is DatasetInfo
    assert (info.path, info.samples, info.with_files, info.segments) == (written / "x", COUNT, True, 1)
    assert (info.chunks, info.bytes) == (len(chunks), sum(chunk.stat().st_size for chunk in chunks))
    assert (info.schema, info.schema_text) == ({"kind": "int"}, "int")
    assert len(bytes.fromhex(info.fingerprint)) == len(bytes.fromhex(info.source_digest)) == 32
    ds = ChunkDataset("x", root=written)
    assert ds.info == info
    assert (ds.name, ds.fingerprint) == ("x", info.fingerprint)
    assert dataset_info(str(written / "x")) == info


def test_it_shows_what_it_is() -> None:
    class Mine(ChunkDataset):
        pass

    write_chunks(Labels([(n, 0.5) for n in range(1200)]), "x", "out")
    assert repr(Mine("x", "out")) == "Mine('x', 1,200 samples, label: tuple(int, float))"


def test_the_schema_is_that_of_the_format(tmp_path: Path) -> None:
    write_chunks(
        Labels([{"a": (1, None), "b": [np.zeros((2, 2), ">i2")]}]), "x", root=tmp_path, options=options()
    )
    info = dataset_info(tmp_path / "x")
    assert info.schema_text == "{'a': tuple(int, none), 'b': list(array >i2 of 2 dimensions)}"
    inner = {"kind": "list", "items": [{"kind": "array", "dtype": ">i2", "ndim": 2}]}
    pair = {"kind": "tuple", "items": [{"kind": "int"}, {"kind": "none"}]}
    assert info.schema == {"kind": "dict", "keys": ["a", "b"], "items": [pair, inner]}
    assert not info.with_files


def test_names_may_be_of_any_script(tmp_path: Path) -> None:
    names = ["Übung.txt", "猫 1.jpg", "😀", "a\u0301", "'\"$ .x"]
    (tmp_path / "источник").mkdir()
    for name in names:
        (tmp_path / "источник" / name).write_text(name)
    source = Computed(len(names), lambda n: tmp_path / "источник" / names[n])
    write_chunks(source, "данные 猫", root=tmp_path / "ü", options=options())
    ds = ChunkDataset("данные 猫", root=tmp_path / "ü")
    files = [files[0] for _, files in every(ds)]
    assert [file.name for file in files] == names
    assert [Path(file).name for file in files] == names
    assert [Path(file).read_text() for file in files] == names
    assert verify(tmp_path / "ü" / "данные 猫").ok


def test_a_name_that_is_no_utf_8_is_stored_with_replacements(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    Path(os.fsdecode(path)).write_bytes(b"latin")
    write_chunks(Computed(1, lambda _: os.fsdecode(path)), "x", root=tmp_path, options=options())
    (file,) = ChunkDataset("x", root=tmp_path)[0][1]
    assert (file.name, file.read_bytes()) == ("caf\ufffd.txt", b"latin")


def _put(root: Path, label: str) -> None:
    write_chunks(Labels([label]), "x", root=root, options=options())


def test_the_root_is_the_argument_then_the_variable_then_the_project_then_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "project" / "deep" / "er"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    _put(inner / ".bench" / "datasets", "folder")
    assert ChunkDataset("x")[0] == "folder"
    (tmp_path / "project" / "bench.toml").touch()
    with pytest.raises(DatasetNotFoundError, match=str(tmp_path / "project" / ".bench" / "datasets" / "x")):
        ChunkDataset("x")
    _put(tmp_path / "project" / ".bench" / "datasets", "project")
    assert ChunkDataset("x")[0] == "project"
    monkeypatch.setenv("BENCH_DATA_ROOT", str(tmp_path / "variable"))
    _put(tmp_path / "variable", "variable")
    assert ChunkDataset("x")[0] == "variable"
    _put(tmp_path / "argument", "argument")
    assert ChunkDataset("x", root=tmp_path / "argument")[0] == "argument"
    assert ChunkDataset("x", root=str(tmp_path / "argument"))[0] == "argument"
    monkeypatch.setenv("BENCH_DATA_ROOT", "")
    assert ChunkDataset("x")[0] == "project"


def test_writing_goes_where_reading_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert write_chunks(Labels([1]), "x", options=options()).path == Path.cwd() / ".bench" / "datasets" / "x"
    monkeypatch.setenv("BENCH_DATA_ROOT", "relative")
    assert write_chunks(Labels([1]), "x", options=options()).path == Path.cwd() / "relative" / "x"


def test_a_dataset_that_is_not_there_is_named(tmp_path: Path) -> None:
    for missing in (lambda: ChunkDataset("x", root=tmp_path), lambda: dataset_info(tmp_path / "x")):
        with pytest.raises(DatasetNotFoundError, match=str(tmp_path / "x")):
            missing()


@pytest.mark.parametrize("text", ["", "{}", "[]", "7", '{"format": "bench-dataset"}', "[" * 100_000])
def test_a_manifest_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "dataset.json").write_text(text)
    with pytest.raises(FormatError, match=r"dataset\.json"):
        ChunkDataset("x", root=tmp_path)


def test_a_manifest_with_the_fingerprint_of_other_chunks_is_refused() -> None:
    one, other = (write_chunks(Labels([n]), name, "out") for n, name in enumerate(("one", "other")))
    manifest = Path("out/one/dataset.json")
    manifest.write_text(manifest.read_text().replace(one.fingerprint, other.fingerprint))
    with pytest.raises(FormatError, match="its fingerprint is not that of the chunks it names"):
        ChunkDataset("one", "out")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a\\b", "a\0", "a\n", 5, None])
def test_a_name_that_is_no_folders_is_refused(name: Any) -> None:
    with pytest.raises(OptionsError, match=r"cannot be a dataset's name"):
        ChunkDataset(name)
