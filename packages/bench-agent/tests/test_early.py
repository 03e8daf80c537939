"""The first batch of a streamed dataset, which does not wait for the chunks that it lies in."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agent_tools import Server, running_server
from bench_agent.demand import Dataset
from bench_agent.early import joined, parts_of
from bench_auth.credentials import CredentialStore
from bench_data import ChunkDataset, loader, push
from proxy import harmful_proxy, nothing
from stream_tools import agent_pid, cache_at, kill_agent, write_pictures

COUNT, BATCH = 1200, 16
PASSING_BYTES = 14 << 20
"""Of 24 MB."""


class Named(ChunkDataset):
    """Samples as (label, number in the file's name, checksum of the file): the name is asked for first."""

    def __getitem__(self, item: int) -> Any:
        label, [file] = super().__getitem__(item)
        return label, int(file.name.removesuffix(".bin")), sum(file.read_bytes())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a dataset of 24 MB in seven chunks."""
    place = tmp_path_factory.mktemp("datasets")
    write_pictures(place, "train", COUNT, 4 << 20)
    return place


@pytest.fixture
def cache(server: Server, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    project = server.create_project()
    push("train", project=project, root=root)
    store = CredentialStore(Path(os.environ["BENCH_CONFIG_DIR"]) / "credentials.json")
    credential = store.get(server.endpoint)
    assert credential is not None
    monkeypatch.setenv("BENCH_TOKEN", credential.token)
    monkeypatch.setenv("BENCH_PROJECT", project)
    monkeypatch.setenv("BENCH_DATA_ROOT", str(tmp_path / "nothing"))
    with cache_at(tmp_path / "cache") as folder:
        yield folder


def batches(dataset: Any, **options: Any) -> Iterator[list[list[int]]]:
    for columns in loader(dataset, batch_size=BATCH, **options):
        yield [column.tolist() for column in columns]


def early_copies(cache: Path) -> list[Path]:
    return list(cache.rglob("*.early"))


@pytest.mark.parametrize("part", [False, True], ids=["whole", "part"])
@pytest.mark.parametrize("workers", [0, 2])
def test_the_first_batch_is_there_before_its_chunks(
    cache: Path, root: Path, server: Server, monkeypatch: pytest.MonkeyPatch, workers: int, part: bool
) -> None:
    open_gate = threading.Event()

    def hold_back(data: bytes, passed: int) -> bytes:
        if passed > PASSING_BYTES:
            open_gate.wait(60)
        return data

    def chosen(dataset: Any) -> Any:
        return dataset.split(0.9, seed=1)[0] if part else dataset

    local = Named("train", root)
    expected = list(batches(chosen(local)))
    edges = local.chunk_starts
    assert len(set(edges.searchsorted(expected[0][0], "right"))) >= 6  # more than can pass
    with harmful_proxy(server.port, nothing, hold_back) as port:
        monkeypatch.setenv("BENCH_ENDPOINT", f"http://127.0.0.1:{port}")
        streamed = batches(chosen(Named("train")), num_workers=workers)
        found = [next(streamed)]
        assert len(list(cache.rglob("chunks/*.zip"))) < 7
        open_gate.set()
        found += streamed
        kill_agent(cache)
    assert found == expected
    assert len(list(cache.rglob("chunks/*.zip"))) == 7
    assert not early_copies(cache)


def test_copies_of_an_agent_that_was_killed_are_removed(cache: Path, root: Path) -> None:
    dataset = Named("train")
    assert agent_pid(cache) is not None
    left = dataset.info.path / "chunks" / ("0" * 64 + ".zip.early")
    left.touch()
    kill_agent(cache)
    assert dataset[7] == Named("train", root)[7]
    assert not left.exists()


def test_what_is_needed_of_each_chunk(root: Path) -> None:
    dataset = Dataset(root / "train")
    edges = dataset.starts.tolist()
    few, many = np.array([edges[3] + 5, 2, edges[3] + 1]), np.arange(edges[1], edges[2])
    parts = list(parts_of(dataset, np.concatenate([few, many])))
    assert [part.samples for part in parts] == [[2], [1, 5]]
    assert [part.path for part in parts] == [dataset.paths[0], dataset.paths[3]]


def test_ranges_that_are_close_together_are_one() -> None:
    assert joined(iter(())) == []
    places = [(10, 20), (20, 30), (600_000, 600_010), (600_010, 600_020)]
    assert joined(iter(places)) == [(10, 30), (600_000, 600_020)]
