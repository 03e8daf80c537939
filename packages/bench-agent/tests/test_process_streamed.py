"""process_datasets of data larger than the disk, against a real server: chunks go as they are written."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bench_auth
import numpy as np
import pytest
from agent_tools import Blocks, Server, running_server
from bench_data import (
    ChunkDataset,
    ProcessorDataset,
    WriteOptions,
    dataset_info,
    loader,
    process,
    process_datasets,
    pull,
    push,
    verify,
    write_chunks,
)
from bench_data.errors import CloudError, FormatError, NoCloudError, OptionsError
from bench_data.writer import PROBES
from bench_protos.data.v1 import datasets_pb2 as pb
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub
from stream_tools import cache_at

CHUNK_BYTES = 1 << 20
SAMPLES = 6_000
"""25 MB in some 27 chunks."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture
def project(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    made = server.create_project()
    monkeypatch.setenv("BENCH_PROJECT", made)
    monkeypatch.setenv("BENCH_DATA_ROOT", str(tmp_path / "datasets"))
    monkeypatch.chdir(tmp_path)
    with cache_at(tmp_path / "cache"):
        yield made


class Large(Blocks):
    def __init__(self, count: int, workers: int = 1) -> None:
        super().__init__(count)
        self.write_options = WriteOptions(workers=workers, chunk_bytes=CHUNK_BYTES, durable=False)


def folder() -> Path:
    return Path(os.environ["BENCH_DATA_ROOT"]) / "train"


def chunks_here() -> list[Path]:
    return sorted(folder().rglob("*.zip"))


def stored_versions(server: Server, project: str) -> int:
    stub = DatasetServiceStub(bench_auth.open_channel(server.endpoint))
    found = stub.ListDatasets(pb.ListDatasetsRequest(project_id=project)).datasets
    return sum(dataset.version_count for dataset in found)


LOOK = """
import os, select, sys
most = 0
while not select.select([0], [], [], 0.002)[0]:
    found = 0
    for place, _, names in os.walk(sys.argv[1]):
        for name in names:
            if name.endswith(".zip") or name.startswith("chunk-"):
                try:
                    found += os.stat(os.path.join(place, name)).st_size
                except FileNotFoundError:
                    pass
    most = max(most, found)
print(most)
"""


@contextmanager
def most_chunk_bytes() -> Iterator[list[int]]:
    """What the chunks in the dataset's folder, finished or not, take at most while the block runs.

    Another process looks: with a thread in this one, workers would not be started by fork.
    """
    most: list[int] = []
    words = [sys.executable, "-c", LOOK, str(folder())]
    looking = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield most
    finally:
        most.append(int(looking.communicate()[0]))


@pytest.mark.parametrize("workers", [1, 2])
def test_it_never_has_more_than_a_few_chunks_here(
    server: Server, project: str, workers: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with most_chunk_bytes() as most:
        info = process_datasets(Large(SAMPLES, workers), ChunkDataset, "train", keep_chunks=False)
    assert info.streamed
    assert info.chunks_written == info.chunks > 20
    assert 0 < most[0] <= 4 * 1.1 * CHUNK_BYTES * workers < info.bytes / 2
    assert chunks_here() == []
    assert sorted(path.name for path in folder().iterdir() if not path.name.startswith(".")) == [
        *["chunks", "dataset.json"],
        *sorted(path.name for path in folder().glob("s*")),
    ]
    assert info.uploaded is not None
    assert (info.uploaded.version_number, info.uploaded.fingerprint) == (1, info.fingerprint)
    said = capfd.readouterr().err.splitlines()
    assert [line.split(" in ")[0].split(" (")[0].split(",")[0] for line in said] == [
        "train: 6",
        "train: version 1",
        "train from the server: loading test passed",
    ]


def test_it_is_what_a_local_write_makes(project: str, tmp_path: Path) -> None:
    sent = process_datasets(Large(SAMPLES, workers=2), ChunkDataset, "train", keep_chunks=False)
    local = write_chunks(Large(SAMPLES), "train", root=tmp_path / "local")
    assert (sent.fingerprint, sent.source_digest) == (local.fingerprint, local.source_digest)
    assert (folder() / "dataset.json").read_bytes() == (local.path / "dataset.json").read_bytes()
    streamed, here = ChunkDataset("train"), ChunkDataset("train", tmp_path / "local")
    assert streamed.remote is not None
    assert np.array_equal(streamed[17], here[17])
    ours, theirs = (loader(ds, batch_size=500, shuffle="window", window_chunks=3) for ds in (streamed, here))
    for mine, other in zip(ours, theirs, strict=True):
        assert np.array_equal(mine, other)


def test_nothing_is_done_again(project: str, capfd: pytest.CaptureFixture[str]) -> None:
    first = process_datasets(Large(SAMPLES), ChunkDataset, "train", keep_chunks=False)
    before = {path: path.stat().st_mtime_ns for path in folder().rglob("*") if path.is_file()}
    capfd.readouterr()
    again = process_datasets(Large(SAMPLES), ChunkDataset, "train", keep_chunks=False)
    assert (again.chunks_written, again.fingerprint) == (0, first.fingerprint)
    assert again.uploaded is not None
    assert (again.uploaded.version_number, again.uploaded.moved_bytes, again.uploaded.linked_bytes) == (
        1,
        0,
        0,
    )
    assert {path: path.stat().st_mtime_ns for path in folder().rglob("*") if path.is_file()} == before
    assert capfd.readouterr().err.splitlines() == [
        f"train: nothing changed (6,000 samples in {first.chunks} chunks)",
        "train: version 1, the server has it",
        "train from the server: loading test passed before",
    ]


def test_what_a_migration_knows_is_not_asked_again(project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = process_datasets(Large(600), ChunkDataset, "train", keep_chunks=False)
    assert first.uploaded is not None
    monkeypatch.setitem(process.known_versions, "train", first.uploaded)
    monkeypatch.setattr("bench_data.sender.start_agent", None)  # would fail
    monkeypatch.setattr("bench_data.cloud.start_agent", None)
    again = process_datasets(Large(600), ChunkDataset, "train", keep_chunks=False)
    assert (again.chunks_written, again.uploaded) == (0, first.uploaded)


class Editable(ProcessorDataset):
    """Files of 100 kB."""

    write_options = WriteOptions(workers=1, chunk_bytes=CHUNK_BYTES, durable=False, order="source")

    def __init__(self, count: int, edited: int | None = None) -> None:
        self._count, self._edited = count, edited

    def __len__(self) -> int:
        return self._count

    def get_label_and_numeric_data(self, item: int) -> Any:
        seed = [item, 1] if item == self._edited else [item]
        return np.random.default_rng(seed).integers(0, 256, 100_000, np.uint8)


class Uneven(Editable):
    """Small samples where the plan looks for their size: all of the others come to one block."""

    def get_label_and_numeric_data(self, item: int) -> Any:
        label = super().get_label_and_numeric_data(item)
        probes = np.linspace(0, self._count - 1, PROBES).astype(np.int64)
        return label[:100] if item in probes else label


@pytest.fixture
def small_disk(project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The datasets' folder is on a disk of 6 MiB, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "bench-agent-test", str(disk)]
    is_mounted = subprocess.run(mount, capture_output=True).returncode == 0
    monkeypatch.setenv("BENCH_DATA_ROOT", str(disk))
    try:
        yield disk
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("source", [Editable, Uneven])
def test_more_data_than_the_disk_holds(small_disk: Path, tmp_path: Path, source: type[Editable]) -> None:
    with most_chunk_bytes() as most:
        sent = process_datasets(source(300), ChunkDataset, "train", keep_chunks=False)
    assert most[0] <= 4 * 1.1 * CHUNK_BYTES < 20_000_000 < sent.bytes
    assert write_chunks(source(300), "train", tmp_path).fingerprint == sent.fingerprint
    dataset = ChunkDataset("train")
    assert np.array_equal(dataset[123], source(300).get_label_and_numeric_data(123))


def test_an_update_writes_and_sends_what_changed(project: str) -> None:
    first = process_datasets(Editable(100), ChunkDataset, "train", keep_chunks=False)
    second = process_datasets(Editable(100, edited=42), ChunkDataset, "train", keep_chunks=False)
    # A sample without files is known by its label: the old one goes from its chunk, the new one gets its own.
    assert (second.chunks_written, second.chunks) == (2, first.chunks + 1)
    assert second.uploaded is not None
    assert second.uploaded.version_number == 2
    assert second.uploaded.moved_bytes + second.uploaded.linked_bytes < 2 * CHUNK_BYTES
    assert chunks_here() == []
    assert len(list(folder().glob("streamed-*"))) == 1
    dataset = ChunkDataset("train")
    assert np.array_equal(dataset[99], Editable(100, edited=42).get_label_and_numeric_data(42))


def test_a_version_that_was_deleted_is_made_again(server: Server, project: str) -> None:
    first = process_datasets(Large(600), ChunkDataset, "train", keep_chunks=False)
    stub = DatasetServiceStub(bench_auth.open_channel(server.endpoint))
    stub.DeleteVersion(pb.DeleteVersionRequest(project_id=project, dataset="train", version_number=1))
    with pytest.raises(CloudError, match="train"):
        ChunkDataset("train")
    push_other(project)
    with pytest.raises(CloudError, match="on the server is not the one that was written"):
        ChunkDataset("train")
    again = process_datasets(Large(600), ChunkDataset, "train", keep_chunks=False)
    assert (again.chunks_written, again.fingerprint) == (0, first.fingerprint)
    assert again.uploaded is not None
    assert again.uploaded.version_number == 2


def push_other(project: str) -> None:
    """Another dataset under that name."""
    write_chunks(Large(100), "train", root="other")
    push("train", project=project, root="other")


def test_a_damaged_note_says_so_and_is_written_again(project: str) -> None:
    process_datasets(Large(600), ChunkDataset, "train", keep_chunks=False)
    [note] = folder().glob("streamed-*.json")
    content = note.read_bytes()
    for damaged in (b"{", b"[]", b'{"version_number": "1"}'):
        note.write_bytes(damaged)
        with pytest.raises(FormatError, match=r"streamed-.* is damaged"):
            ChunkDataset("train")
        assert "is damaged" in verify(folder()).problems[0].what
    process_datasets(Large(600), ChunkDataset, "train", keep_chunks=False)
    assert note.read_bytes() == content


def test_another_project_gets_all_of_it(
    server: Server, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = process_datasets(Large(SAMPLES), ChunkDataset, "train", keep_chunks=False)
    other = server.create_project()
    monkeypatch.setenv("BENCH_PROJECT", other)
    again = process_datasets(Large(SAMPLES), ChunkDataset, "train", keep_chunks=False)
    assert (again.fingerprint, again.chunks_written) == (first.fingerprint, first.chunks)
    assert (stored_versions(server, other), chunks_here()) == (1, [])


def test_a_dataset_that_was_kept_goes_to_the_server_and_comes_back(project: str) -> None:
    kept = process_datasets(Large(600), ChunkDataset, "train")
    sent = process_datasets(Large(600), ChunkDataset, "train", keep_chunks=False)
    assert (sent.chunks_written, chunks_here()) == (0, [])
    assert ChunkDataset("train").remote is not None
    back = process_datasets(Large(600), ChunkDataset, "train")
    assert (back.chunks_written, back.fingerprint) == (kept.chunks, kept.fingerprint)
    assert (ChunkDataset("train").remote, back.streamed, verify(folder()).ok) == (None, False, True)


def test_info_verify_push_and_pull(server: Server, project: str) -> None:
    sent = process_datasets(Large(600), ChunkDataset, "train", keep_chunks=False)
    info = dataset_info(folder())
    assert (info.streamed, info.samples, info.chunks, info.bytes) == (True, 600, sent.chunks, sent.bytes)
    report = verify(folder())
    assert report.ok
    assert str(report) == (
        f"{folder()}: 0 chunks, 0 bytes: ok\n{sent.chunks} chunks are on the server only, and were not read"
    )
    assert push("train").version_number == 1
    with pytest.raises(CloudError, match="is not here, and the project does not have it"):
        push("train", project=server.create_project())
    pulled = pull("train")
    assert (pulled.fingerprint, len(chunks_here())) == (sent.fingerprint, sent.chunks)
    assert str(verify(folder())) == f"{folder()}: {sent.chunks} chunks, {sent.bytes:,} bytes: ok"
    assert not dataset_info(folder()).streamed
    assert ChunkDataset("train").remote is None


def test_without_a_server_it_says_so_before_it_writes(
    server: Server, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(error: type[Exception], match: str) -> None:
        with pytest.raises(error, match=match):
            process_datasets(Large(600), ChunkDataset, "train", keep_chunks=False)
        assert not folder().exists()

    monkeypatch.setenv("BENCH_PROJECT", "01a2b3c4-0000-7000-8000-000000000000")
    refused(CloudError, "project")
    monkeypatch.setenv("BENCH_PROJECT", project)
    monkeypatch.setenv("BENCH_CONFIG_DIR", "nowhere")
    refused(NoCloudError, "there is no login")
    monkeypatch.setenv("BENCH_ENDPOINT", "http://localhost:9")
    monkeypatch.setenv("BENCH_TOKEN", "bench_p_nonsense")
    refused(CloudError, "cannot be reached")
    monkeypatch.delenv("BENCH_PROJECT")
    refused(OptionsError, "keep_chunks=False needs a server, and no project is known")


def test_a_dry_run_takes_what_is_on_the_server_for_there(
    project: str, capfd: pytest.CaptureFixture[str]
) -> None:
    sent = process_datasets(Large(600), ChunkDataset, "train", keep_chunks=False)
    capfd.readouterr()
    process.plan_datasets(Large(600), ChunkDataset, "train", keep_chunks=False)
    process.plan_datasets(Large(600), ChunkDataset, "train")
    assert capfd.readouterr().err == (
        f"train: nothing changed (600 samples in {sent.chunks} chunks)\n"
        "train: 600 of 600 samples would be written, 0 chunks would stay\n"
    )
