"""Workers under every start method, from scripts without a guard and from notebooks; nothing stays behind."""

import ast
import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import process_tools
import psutil
import pytest
from bench_data import WriteOptions, write_chunks
from bench_data.info import WriteInfo
from data_samples import Files, make_files, open_descriptors, snapshot

COUNT = 200
OPTIONS = WriteOptions(workers=1, chunk_bytes=32 << 10, durable=False)

UNGUARDED = """
import glob, multiprocessing, sys
import bench_data

if {method!r}:
    multiprocessing.set_start_method({method!r})

class Mine(bench_data.ProcessorDataset):
    def __init__(self):
        self.paths = sorted(glob.glob("source/*"))

    def __len__(self):
        return len(self.paths)

    def get_file(self, item):
        return [self.paths[item]]

    def get_label_and_numeric_data(self, item):
        return int(self.paths[item][-10:-4])

options = bench_data.WriteOptions(workers=2, chunk_bytes=32 << 10, durable=False)
info = bench_data.write_chunks(Mine(), "train", "out", options)
print(info.fingerprint)
"""

GUARDED_LOADER = """
import bench_data

class MineChunk(bench_data.ChunkDataset):
    def __getitem__(self, item):
        label, files = super().__getitem__(item)
        with open(files[0], "rb") as file:
            return label, file.read() == files[0].read_bytes()

if __name__ == "__main__":
    dataset = MineChunk("fresh", "out")
    for method in (None, "fork", "spawn", "forkserver"):
        workers = 2 if method else 0
        options = {"num_workers": workers, "multiprocessing_context": method}
        batches = bench_data.loader(dataset, batch_size=16, seed=3, **options)
        print([(labels.tolist(), same.all().item()) for labels, same in batches])
"""


@pytest.fixture
def fresh() -> WriteInfo:
    make_files(Path("source"), COUNT)
    return write_chunks(Files(sorted(map(str, Path("source").iterdir()))), "fresh", "out", OPTIONS)


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A temporary folder that nothing else uses, with a short path: sockets lie in it."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_script_without_a_guard_writes_the_same_bytes_under_every_start_method(
    fresh: WriteInfo, method: str
) -> None:
    out = process_tools.run(UNGUARDED.format(method=method), script=Path("script.py"))
    assert out == f"{fresh.fingerprint}\n"  # once: no worker ran the script
    written, expected = snapshot(Path("out/train")), snapshot(Path("out/fresh"))
    written.pop("dataset.json"), expected.pop("dataset.json")  # another class, another source digest
    assert written == expected


def test_a_notebook_cell_writes_the_same_bytes(fresh: WriteInfo) -> None:
    cell = f"exec({UNGUARDED.format(method=None)!r})\n"
    with process_tools.ended(process_tools.start("", script=Path("-"), stdin=subprocess.PIPE)) as process:
        out, err = process.communicate(cell, timeout=process_tools.PATIENCE)
    assert (process.returncode, err) == (0, "")
    assert out == f"{fresh.fingerprint}\n"


def test_a_loader_gives_the_same_batches_under_every_start_method(
    fresh: WriteInfo, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(temporary))
    with process_tools.ended(process_tools.start(GUARDED_LOADER, script=Path("script.py"))) as process:
        out, err = process.communicate(timeout=2 * process_tools.PATIENCE)
        assert (process.returncode, err) == (0, "")
        process_tools.wait_until(lambda: not process_tools.session(process.pid), "the end of all processes")
    here, *others = map(ast.literal_eval, out.splitlines())
    assert others == [here] * 3
    assert sorted(label for labels, _ in here for label in labels) == list(range(COUNT))
    assert all(same for _, same in here)
    assert not list(temporary.iterdir())


def _workers() -> set[int]:
    """Processes below this one, but for the one that loky keeps, and those that have ended."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # or it has ended, and nobody has asked how
            if "resource_tracker" not in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


def test_a_write_with_workers_leaves_no_process_descriptor_or_file(
    fresh: WriteInfo, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Files(sorted(map(str, Path("source").iterdir())))
    options = WriteOptions(workers=2, chunk_bytes=32 << 10, durable=False)
    write_chunks(source, "warm", "out", options)  # loky keeps one tracker process, and a pipe to it
    processes, descriptors = _workers(), open_descriptors()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    write_chunks(source, "train", "out", options)
    assert _workers() == processes
    assert open_descriptors() == descriptors
    assert not list(temporary.iterdir())
    assert {path.name for path in Path("out/train").iterdir()} == {
        ".lock",
        "chunks",
        "dataset.json",
        *(path.name for path in Path("out/train").glob("segment-*.npz")),
    }
    assert len(list(Path("out/train").glob("segment-*.npz"))) == 1


READ_AND_LEAVE = """
import os, sys
import bench_data
from data_samples import open_descriptors

before = open_descriptors()
dataset = bench_data.ChunkDataset("fresh", "out")
kept = [dataset[item] for item in range(200)]
paths = [os.fspath(files[0]) for label, files in kept]
views = [files[0].view() for label, files in kept]
assert all(map(os.path.exists, paths))
del dataset, kept, views
left = {name for name in open_descriptors() - before if "bench-data-" not in name}
assert not left, left
assert not any(map(os.path.exists, paths))
print(os.path.dirname(paths[0]))
"""


def test_reading_leaves_no_descriptor_and_no_file(fresh: WriteInfo) -> None:
    folder = Path(process_tools.run(READ_AND_LEAVE).strip())
    assert folder.name.startswith("bench-data-")
    assert not folder.exists()
