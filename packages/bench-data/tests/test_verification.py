"""verify: what it says of a dataset that is whole, and of every way in which one can be damaged."""

import os
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import golden_chunk
import numpy as np
import pytest
from bench_data import ChunkDataset, FileContent, Problem, WriteOptions, verify, write_chunks
from bench_data.errors import DatasetNotFoundError, FormatError, NewerFormatError
from bench_data.verification import find_damage
from data_samples import Computed, Files, make_files, snapshot

COUNT = 30
OPTIONS = WriteOptions(workers=1, chunk_bytes=10 << 10, order="source", durable=False)
GOLDEN = Path("out/golden")
CHANGED = "its bytes are not those that were written"


@pytest.fixture
def golden() -> Path:
    """The golden dataset's only chunk: it holds each kind of member."""
    golden_chunk.make(Path("out"))
    (path,) = (GOLDEN / "chunks").iterdir()
    return path


@pytest.fixture
def processor(tmp_path: Path) -> Files:
    return Files(make_files(tmp_path / "source", COUNT, 1000))


@pytest.fixture
def chunks(processor: Files) -> list[Path]:
    """The chunks of a dataset of several, in its order."""
    write_chunks(processor, "train", "out", OPTIONS)
    paths = {member: path for path in Path("out/train/chunks").iterdir() for member in [first_member(path)]}
    assert len(paths) > 2
    return [paths[name] for name in sorted(paths)]


def first_member(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()[0].partition("/")[2]


def flips(path: Path, masks: Iterable[int]) -> Iterator[int]:
    """Have each byte of a file changed in turn, by these bits; the byte's place."""
    data = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for at, byte in enumerate(data):
            for mask in masks:
                os.pwrite(file.fileno(), bytes([byte ^ (mask or 1 << at % 8)]), at)
                yield at
            os.pwrite(file.fileno(), bytes([byte]), at)
    assert path.read_bytes() == data


ONE_BIT, CASE, ALL_BITS = 0, 0x20, 0xFF


def test_a_whole_dataset_is_ok(chunks: list[Path]) -> None:
    report = verify("out/train")
    size = sum(path.stat().st_size for path in chunks)
    assert (report.ok, report.problems) == (True, ())
    assert (report.path, report.chunks, report.bytes) == (Path("out/train"), len(chunks), size)
    assert str(report) == f"out/train: {len(chunks)} chunks, {size:,} bytes: ok"
    assert verify(Path("out/train").absolute()).ok


def test_files_that_are_not_of_the_dataset_are_not_looked_at(chunks: list[Path]) -> None:
    Path("out/train/chunks/other.zip").write_bytes(b"other")
    Path("out/train/segment-00000000000000000000000000000000.npz").write_bytes(b"other")
    assert verify("out/train").ok


def test_no_dataset_is_an_error_and_not_a_report(golden: Path) -> None:
    for folder in ("out", "out/none"):
        with pytest.raises(DatasetNotFoundError, match=f"there is no dataset in {folder}"):
            verify(folder)


def test_a_newer_dataset_is_an_error_and_not_a_report(golden: Path) -> None:
    path = GOLDEN / "dataset.json"
    path.write_text(path.read_text().replace('"version":1', '"version":2'))
    with pytest.raises(NewerFormatError, match=r"dataset\.json has format version 2, this release reads up"):
        verify(GOLDEN)


HEADER_CHANGED = "its local header is not what was written"
DIRECTORY_CHANGED = "the central directory is not what was written"


def places(path: Path) -> list[list[tuple[str | None, int, str]]]:
    """For each byte of a chunk but its tail the damage that is found if it changes: any one of these.

    None: a file's name is only in its header, and may not be legible.
    """
    found: list[list[tuple[str | None, int, str]]] = []
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        directory = archive.start_dir
        in_directory = directory
        for info in archive.infolist():
            header, name, extra = len(found), *struct.unpack_from("<2H", data, len(found) + 26)
            is_file = "/" in info.filename and not info.filename.startswith("labels/")
            here = (None if is_file else info.filename, header, HEADER_CHANGED)
            # Which of the name's two places is right is not known.
            found += [[here]] * 30
            found += [[here, ("", in_directory + 46 + at, DIRECTORY_CHANGED)] for at in range(name)]
            found += [[here]] * extra
            found += [[(info.filename, header + 30 + name + extra, CHANGED)]] * info.file_size
            in_directory += 46 + name
    json_start = directory - info.file_size
    corrupt = (
        f"{path.name}, chunk.json at offset {json_start}: the bytes are not those that were written ({path})"
    )
    found[json_start:] = [[("", len(data) - 64, corrupt)]] * info.file_size
    return found + [[("", at, DIRECTORY_CHANGED)] for at in range(directory, len(data) - 64)]


@pytest.mark.parametrize("mask", [ONE_BIT, ALL_BITS])
def test_the_place_of_any_changed_byte_of_a_chunk_is_found_without_a_manifest(
    golden: Path, mask: int
) -> None:
    expected = places(golden)
    size = golden.stat().st_size
    assert len(expected) == size - 64
    for at in flips(golden, [mask]):
        first, *others = find_damage(golden)
        if at < size - 64:
            assert first in expected[at] or (None, *first[1:]) in expected[at]
            assert [other.what for other in others] in ([], [DIRECTORY_CHANGED])
        else:
            assert first.offset in (size - 64, at)
    assert list(find_damage(golden)) == []


def test_any_changed_byte_of_a_chunk_is_a_problem() -> None:
    write_chunks(Computed(1, lambda _: FileContent("x", b"content")), "tiny", "out", OPTIONS)
    (path,) = Path("out/tiny/chunks").iterdir()
    for at in flips(path, [ONE_BIT]):
        found = verify("out/tiny")
        assert not found.ok
        assert {problem.chunk for problem in found.problems} == {f"chunks/{path.name}"}, at


def test_any_changed_byte_of_a_segment_file_is_a_problem(golden: Path) -> None:
    (path,) = GOLDEN.glob("segment-*.npz")
    for _ in flips(path, [ONE_BIT]):
        problems = verify(GOLDEN).problems
        assert problems == (Problem(path.name, "", 0, "its digest is not that of the manifest"),)


@pytest.mark.filterwarnings("ignore:Data type alias:DeprecationWarning")
def test_any_changed_byte_of_the_manifest_is_a_problem(golden: Path) -> None:
    path = GOLDEN / "dataset.json"
    version = path.read_bytes().index(b'"version":1,"with') + 10
    for at in flips(path, [ONE_BIT, CASE, 2, 8]):
        try:
            found = verify(GOLDEN)
        except NewerFormatError:
            assert at == version
            continue
        assert not found.ok, at
        # With another digest it names another segment file.
        assert all(problem.chunk.startswith(("dataset.json", "segment-")) for problem in found.problems), at


def test_a_manifest_that_disagrees_with_its_segments_is_a_problem_where_it_begins_to(golden: Path) -> None:
    path = GOLDEN / "dataset.json"
    text = path.read_text()
    changes = {
        '"bytes":': "1",
        '"samples":': "1",
        '"chunks":': "7",
        '"with_files":': "false,",
        '"format":': " ",
    }
    for key, inserted in changes.items():
        at = text.rindex(key) + len(key)
        changed = text[:at] + inserted + text[at:].removeprefix("true")
        path.write_text(changed.replace(",}", "}"))
        expected = Problem("dataset.json", "", at, "does not agree with the segment files")
        assert verify(GOLDEN).problems == (expected,), key


def damage_missing(path: Path) -> str:
    path.unlink()
    return "missing"


def damage_folder(path: Path) -> str:
    path.unlink()
    path.mkdir()
    return "has {found} bytes, and {size} were written"


def damage_cut(path: Path) -> str:
    os.truncate(path, 5000)
    return "has 5000 bytes, and {size} were written"


def damage_emptied(path: Path) -> str:
    os.truncate(path, 0)
    return "has 0 bytes, and {size} were written"


def damage_extended(path: Path) -> str:
    with path.open("ab") as file:
        file.write(b"more")
    return "has {found} bytes, and {size} were written"


def damage_loop(path: Path) -> str:
    path.unlink()
    path.symlink_to(path.name)
    return "cannot be read: Too many levels of symbolic links"


def damage_foreign(path: Path) -> str:
    path.write_bytes(bytes(path.stat().st_size))
    return f"{path} is cut short, damaged or not a Bench file (no tail)"


DAMAGES = [
    *[damage_missing, damage_folder, damage_cut, damage_emptied],
    *[damage_extended, damage_loop, damage_foreign],
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_chunk_that_is_not_there_as_a_whole_is_one_problem(chunks: list[Path], damage: Any) -> None:
    path, size = chunks[1], chunks[1].stat().st_size
    what = damage(path)
    found = os.lstat(path).st_size if path.exists() else 0
    offset = {
        damage_cut: 5000,
        damage_extended: size,
        damage_folder: min(found, size),
        damage_foreign: size - 64,
    }
    name = path.relative_to("out/train").as_posix()
    problem = Problem(name, "", offset.get(damage, 0), what.format(found=found, size=size))
    report = verify("out/train")
    assert (report.problems, report.ok, report.chunks) == ((problem,), False, len(chunks))
    assert str(problem) == f"{name} at offset {problem.offset}: {problem.what}"
    assert str(report).splitlines()[0].endswith(": 1 problem")
    assert str(report).splitlines()[1] == str(problem)


def test_all_problems_are_listed_in_the_order_of_the_chunks(chunks: list[Path]) -> None:
    names: dict[int, list[str]] = {}
    for number in (2, 0):
        with zipfile.ZipFile(chunks[number]) as archive:
            names[number] = [archive.namelist()[at] for at in (0, 2)]
            offsets = [archive.getinfo(name).header_offset for name in names[number]]
        changed = bytearray(chunks[number].read_bytes())
        for offset in offsets:
            changed[offset + 90] ^= 1
        chunks[number].write_bytes(changed)
    chunks[1].unlink()
    report = verify("out/train")
    files = [chunk.relative_to("out/train").as_posix() for chunk in chunks]
    assert [problem[:2] for problem in report.problems] == [
        *[(files[0], name) for name in names[0]],
        (files[1], ""),
        *[(files[2], name) for name in names[2]],
    ]
    for problem in report.problems:
        if problem.member:
            data = (Path("out/train") / problem.chunk).read_bytes()
            number = int(problem.member[-10:-4])
            assert problem.what == CHANGED
            assert data[: problem.offset].endswith(problem.member.encode())
            assert data[problem.offset :].startswith(b"%08d" % number)


def test_a_whole_chunk_in_the_place_of_another_is_told_so(chunks: list[Path], tmp_path: Path) -> None:
    """Only the digest tells: the chunk is of the same size and whole."""
    path = chunks[0]
    elsewhere = [str(tmp_path / "source" / f"file-{number:06d}.bin") for number in range(COUNT)]
    for name in elsewhere:
        Path(name).write_bytes(Path(name).read_bytes()[::-1])
    write_chunks(Files(elsewhere), "other", "out", OPTIONS)
    (other,) = (o for o in Path("out/other/chunks").iterdir() if first_member(o) == first_member(path))
    assert other.stat().st_size == path.stat().st_size
    shutil.copyfile(other, path)
    assert list(find_damage(path)) == []
    name = path.relative_to("out/train").as_posix()
    assert verify("out/train").problems == (Problem(name, "", 0, "is another chunk than the manifest names"),)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (damage_missing, "missing"),
        (damage_folder, "cannot be read: "),
        (damage_cut, "its digest is not that of"),
    ],
)
def test_a_segment_file_that_is_not_whole_is_named(
    chunks: list[Path], damage: Callable[[Path], str], what: str
) -> None:
    (path,) = Path("out/train").glob("segment-*.npz")
    damage(path)
    (problem,) = verify("out/train").problems
    assert problem[:3] == (path.name, "", 0)
    assert problem.what.startswith(what)
    with pytest.raises(FormatError, match=path.name):
        ChunkDataset("train", "out")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format":"bench-dataset","version":1}', "\0" * 99])
def test_a_manifest_that_is_none_is_a_problem(golden: Path, text: str) -> None:
    path = GOLDEN / "dataset.json"
    path.write_text(text)
    assert verify(GOLDEN).problems == (Problem("dataset.json", "", 0, f"{path} is damaged"),)


@pytest.mark.parametrize("damage", [damage_missing, damage_cut, damage_foreign])
def test_a_damaged_chunk_that_is_removed_is_written_again_and_no_other(
    chunks: list[Path], processor: Files, damage: Callable[[Path], str]
) -> None:
    before = snapshot(Path("out/train"))
    kept = {path: path.stat().st_ino for path in chunks if path != chunks[1]}
    damage(chunks[1])
    assert not verify("out/train").ok
    chunks[1].unlink(missing_ok=True)
    info = write_chunks(processor, "train", "out", OPTIONS)
    assert info.chunks_written == 1
    assert snapshot(Path("out/train")) == before
    assert {path: path.stat().st_ino for path in kept} == kept
    assert verify("out/train").ok


@pytest.mark.parametrize("kind", ["labels alone", "files without labels", "one sample", "large labels"])
def test_datasets_of_all_kinds_are_ok(kind: str, tmp_path: Path) -> None:
    paths = make_files(tmp_path / "files", 3)
    kinds: dict[str, tuple[int, Any, Any]] = {
        "labels alone": (50, None, None),
        "files without labels": (3, lambda number: [paths[number]], lambda number: {}),
        "one sample": (1, lambda number: paths, None),
        "large labels": (2, None, lambda number: np.full((600, 1000), number)),
    }
    write_chunks(Computed(*kinds[kind]), "x", "out", OPTIONS)
    report = verify("out/x")
    assert (report.ok, str(report).endswith(" bytes: ok")) == (True, True)
