"""What a chunk holds: the bytes of one that is kept, and many as a stranger with FORMAT.md reads them."""

import os
import struct
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import format_reader
import golden_chunk
import numpy as np
import pytest
import torch
from bench_data import FileContent, FreeForm, WriteOptions, write_chunks
from blake3 import blake3
from data_samples import Computed, make_files
from label_samples import same

OPTIONS = WriteOptions(workers=1, chunk_bytes=2 << 10, order="source", durable=False)


def test_the_golden_chunk_is_written_byte_by_byte_as_it_was() -> None:
    """If FORMAT.md changed on purpose: `python tests/golden_chunk.py`, and the digest here."""
    written = golden_chunk.make(Path("out"))
    assert written == golden_chunk.PATH.read_bytes()
    assert blake3(written).hexdigest() == "167c025e6a48ca9b9afebb5d47079b0c99c61ef72f3ab9f878719c94587c78c8"


def test_the_golden_chunk_reads_as_the_labels_and_files_it_was_made_from() -> None:
    samples = format_reader.Chunk(golden_chunk.PATH.read_bytes()).samples()
    for number, (label, files) in enumerate(samples):
        expected = golden_chunk.label(number)
        assert same(label, (*expected[:3], expected[3].value))
        assert files == [(file.name, file.data) for file in golden_chunk.FILES[number]]
    assert len(samples) == len(golden_chunk.FILES)


class Point(NamedTuple):
    x: float
    name: str


STRUCTURE = np.dtype([("a", "<i2"), ("b", "|S3", (2,))])

LABELS: dict[str, Any] = {
    "nothing": lambda number: None,
    "an integer": lambda number: -number,
    "python values": lambda number: [
        number == 1,
        -number / 3,
        complex(number, -1),
        "ü" * number,
        bytes(number),
    ],
    "a dict": lambda number: {
        "b": number,
        "a": "x" * number,
        10: -number,
        2: 1.5,
        True: (number,),
        None: [],
        -3: {"": {}},
    },
    "a named tuple": lambda number: Point(number / 7, str(number)),
    "scalars": lambda number: (np.float32(number), np.datetime64(number, "s"), np.zeros((), STRUCTURE)[()]),
    "fixed arrays": lambda number: (np.full((2, 3), number, ">f4"), np.full(2, number, STRUCTURE)),
    "ragged arrays": lambda number: [np.full(number, 7, "|i1"), np.ones((number % 3, 2, 1), "<c16")],
    "empty arrays": lambda number: np.zeros((0, 3)),
    "tensors": lambda number: (torch.tensor(number), torch.full((number,), 1.5, dtype=torch.bfloat16)),
    "free": lambda number: FreeForm(
        [{"n": number, 3: (1.5, None, True)}, 1j, b"x" * number, np.int8(number), np.ones((number, 2))]
        + [torch.ones(number)] * (number % 2)
    ),
}


def as_read(label: Any) -> Any:
    """A label as the reader gives it."""
    if isinstance(label, FreeForm):
        return as_read(label.value)
    if isinstance(label, torch.Tensor):
        name = str(label.dtype).removeprefix("torch.")
        bits = label.view(torch.uint16) if label.dtype == torch.bfloat16 else label
        return ("tensor", name, bits.numpy())
    if isinstance(label, Point):
        return (f"{__name__}:Point", label._asdict())
    if isinstance(label, dict):
        return {key: as_read(item) for key, item in label.items()}
    if isinstance(label, (list, tuple)):
        return type(label)(map(as_read, label))
    return label


def files_of(number: int) -> list[FileContent]:
    """Two files, or one, or none; of names that repeat."""
    return [
        FileContent(f"{'ä' * k}file {number % 5}.bin", bytes([number]) * (number * 9))
        for k in range(number % 3)
    ]


@pytest.mark.parametrize(
    "files", [lambda number: [], lambda number: files_of(4), files_of], ids=["0", "1", "n"]
)
@pytest.mark.parametrize("label", LABELS)
def test_a_reader_made_from_format_md_reads_what_was_written(files: Any, label: str) -> None:
    count = 40
    info = write_chunks(Computed(count, files, LABELS[label]), "x", "out", OPTIONS)
    assert info.chunks > (1 if files(5) else 0)
    samples = format_reader.read_dataset(Path("out/x"))
    assert len(samples) == count
    for number, (found, contents, *_) in enumerate(samples):
        assert same(found, as_read(LABELS[label](number)))
        assert contents == [(file.name, file.data) for file in files(number)]


def source_digests(sample: format_reader.Sample, names: bytes, stats: bytes) -> tuple[bytes, bytes]:
    """What FORMAT.md, section 5, says that a sample's source key and digest are."""
    if not sample.files:
        return sample.label_digest, sample.label_digest
    key = blake3(names).digest(16)
    return key, blake3(key + stats + sample.label_digest).digest(16)


@pytest.mark.parametrize("label", LABELS)
def test_rows_of_the_segment_file_are_the_digests_that_format_md_names(tmp_path: Path, label: str) -> None:
    paths = make_files(tmp_path, 3, 100)
    os.utime(paths[1], ns=(1, -5_000_000_001))

    def files(number: int) -> list[Any]:
        return [*files_of(number), *paths[: number % 4]]

    write_chunks(Computed(40, files, LABELS[label]), "x", "out", OPTIONS)
    for number, sample in enumerate(format_reader.read_dataset(Path("out/x"))):
        names, stats = b"", b""
        for file in files(number):
            if isinstance(file, FileContent):
                name = file.name.encode()
                names += struct.pack("<2L", 0xFFFFFFFF, len(name)) + name + blake3(file.data).digest()
                stats += struct.pack("<Qq", len(file.data), 0)
            else:
                found = os.stat(file)
                names += struct.pack("<L", len(os.fsencode(file))) + os.fsencode(file)
                stats += struct.pack("<Qq", found.st_size, found.st_mtime_ns)
        assert (sample.source_key, sample.source_digest) == source_digests(sample, names, stats)


def test_the_reader_of_the_tests_imports_nothing_of_bench_data() -> None:
    script = "import sys, format_reader; print([name for name in sys.modules if name.startswith('bench')])"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.fixture
def chunk() -> Path:
    """A chunk with files, fixed labels and ragged ones."""
    label = lambda number: (number, np.full((number, 2), number, "<f4"))  # noqa: E731
    write_chunks(Computed(9, files_of, label), "x", "out", replace(OPTIONS, chunk_bytes=1 << 20))
    (path,) = Path("out/x/chunks").iterdir()
    return path


def test_unzip_and_zipfile_find_a_chunk_whole_and_its_files_by_name(chunk: Path) -> None:
    done = subprocess.run(["unzip", "-tq", chunk], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with zipfile.ZipFile(chunk) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[:5] == [
            "1/file 1.bin",
            "2/file 2.bin",
            "2.1/äfile 2.bin",
            "4/file 4.bin",
            "5/file 0.bin",
        ]
        assert archive.namelist()[9:] == [
            *["index.npy", "file_starts.npy", "labels/0.npy"],
            *["labels/1.npy", "labels/1.starts.npy", "labels/1.shapes.npy", "chunk.json"],
        ]
        assert archive.read("2.1/äfile 2.bin") == bytes([2]) * 18


def test_numpy_loads_a_label_column_out_of_a_chunk(chunk: Path) -> None:
    with zipfile.ZipFile(chunk) as archive, archive.open("labels/0.npy") as member:
        np.testing.assert_array_equal(np.load(member, allow_pickle=False), np.arange(9))
    with np.load(chunk) as columns:  # an .npz by another name
        np.testing.assert_array_equal(columns["labels/1"], np.repeat(np.arange(9), 2 * np.arange(9)))
        np.testing.assert_array_equal(columns["labels/1.shapes"], [(number, 2) for number in range(9)])


def test_the_files_of_a_chunk_are_stored_without_their_folders(tmp_path: Path) -> None:
    secret = tmp_path / "secret folder"
    secret.mkdir()
    (secret / "x.bin").write_bytes(b"x")
    write_chunks(Computed(1, lambda number: [secret / "x.bin"]), "x", "out", OPTIONS)
    for path in Path("out/x").rglob("*"):
        assert path.is_dir() or b"secret" not in path.read_bytes()
