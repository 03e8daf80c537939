"""ChunkDataset over a dataset that is on a server: the same as over a local one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_tools import Server, running_server
from bench_data import ChunkDataset, push
from stream_tools import Numbered, cache_at, samples, write_pictures

COUNT = 400


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a dataset of 8 MB in chunks of 1 MB."""
    place = tmp_path_factory.mktemp("datasets")
    write_pictures(place, "train", COUNT)
    return place


@pytest.fixture(scope="module")
def project(server: Server, root: Path) -> str:
    made = server.create_project()
    push("train", project=made, root=root)
    return made


@pytest.fixture
def cache(project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, with a project known and no dataset in the root."""
    monkeypatch.setenv("BENCH_PROJECT", project)
    monkeypatch.setenv("BENCH_DATA_ROOT", str(tmp_path / "nothing"))
    monkeypatch.delenv("BENCH_CACHE_BYTES", raising=False)
    with cache_at(tmp_path / "cache") as folder:
        yield folder


def chunks(cache: Path) -> list[Path]:
    return sorted(cache.glob("datasets/*/chunks/*.zip"))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shuffle", ["exact", "window", False])
def test_the_same_samples_in_the_same_order(cache: Path, root: Path, shuffle: Any, workers: int) -> None:
    options = {"shuffle": shuffle, "seed": 3, "num_workers": workers, "window_chunks": 2}
    expected = samples(Numbered("train", root), **options)
    assert sorted(number for number, _ in expected) == list(range(COUNT))
    streamed = Numbered("train")
    assert streamed.fingerprint == Numbered("train", root).fingerprint
    assert samples(streamed, **options) == expected
    assert samples(streamed, **options) == expected
    assert sorted(p.name for p in chunks(cache)) == sorted(p.name for p in root.rglob("chunks/*.zip"))


def test_one_sample_fetches_one_chunk(cache: Path, root: Path) -> None:
    label, [file] = ChunkDataset("train")[7]
    expected, [original] = ChunkDataset("train", root)[7]
    assert (label, file.name, file.read_bytes()) == (expected, original.name, original.read_bytes())
    assert len(chunks(cache)) == 1
    assert not list(cache.rglob("*.part"))
