"""ChunkDataset over a dataset that is on a server: the same as over a local one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agent_tools import Server, running_server
from bench_data import ChunkDataset, loader, push
from bench_data.agent_connection import agent_of
from bench_data.errors import CloudError, DatasetNotFoundError, OptionsError
from stream_tools import Numbered, agent_pid, cache_at, kill_agent, samples, write_pictures

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


def test_an_epoch_goes_on_where_a_local_one_stopped(cache: Path, root: Path) -> None:
    local = loader(Numbered("train", root), batch_size=16, seed=5)
    batches = iter(local)
    for _ in range(9):
        next(batches)
    state = local.state_dict()
    streamed = loader(Numbered("train"), batch_size=16, seed=5, num_workers=2)
    streamed.load_state_dict(state)
    rest, expected = list(streamed), list(batches)
    assert len(rest) == len(expected) == 16
    for ours, theirs in zip(rest, expected, strict=True):
        assert ours[0].tolist() == theirs[0].tolist()
        assert ours[1].tolist() == theirs[1].tolist()


def test_parts_and_source_keys(cache: Path, root: Path) -> None:
    local, streamed = Numbered("train", root), Numbered("train")
    assert np.array_equal(streamed.source_keys(), local.source_keys())
    here, there = local.split(0.3, seed=1), streamed.split(0.3, seed=1)
    for ours, theirs in zip(there, here, strict=True):
        assert samples(ours, shuffle="window", num_workers=2) == samples(theirs, shuffle="window")


SPAWNED = """
from bench_data import loader
from stream_tools import Numbered

if __name__ == "__main__":
    batches = loader(Numbered("train"), batch_size=16, num_workers=2, multiprocessing_context="spawn")
    print(sorted(number for numbers, _ in batches for number in numbers.tolist()) == list(range(400)))
"""

NO_GRPC = """
import sys
from bench_data import loader
from stream_tools import Numbered

FORBIDDEN = ("grpc", "google", "bench_auth", "bench_agent", "bench_protos")


def forbidden():
    return [name for name in sys.modules if name.split(".")[0] in FORBIDDEN]


class Watched(Numbered):
    def __getitem__(self, item):
        sample = super().__getitem__(item)
        assert forbidden() == [], forbidden()
        return sample


dataset = Watched("train")
before = forbidden()
count = sum(len(numbers) for numbers, _ in loader(dataset, batch_size=16, num_workers=2))
dataset[3]
print(count, before, forbidden())
"""


def run(code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    script = folder / "script.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    words = [sys.executable, "-W", "error", str(script)]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, cwd=folder)


def test_workers_that_are_spawned(cache: Path, tmp_path: Path) -> None:
    ended = run(SPAWNED, tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\n", "")


def test_the_users_processes_never_import_grpc(cache: Path, tmp_path: Path) -> None:
    ended = run(NO_GRPC, tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "400 [] []\n", "")


def test_torchs_own_loader_is_correct_and_advised_once(cache: Path) -> None:
    from torch.utils.data import DataLoader

    dataset: Any = Numbered("train")
    batches: Any = DataLoader(dataset, batch_size=16, shuffle=True)
    with pytest.warns(UserWarning, match=r"bench_data\.loader") as warned:
        numbers = sorted(number for batch, _ in batches for number in batch.tolist())
    assert numbers == list(range(COUNT))
    assert len(warned) == 1


def test_a_damaged_chunk_is_fetched_again(cache: Path, root: Path) -> None:
    expected = samples(Numbered("train", root), shuffle=False)
    assert samples(Numbered("train"), shuffle=False) == expected
    for number, path in enumerate(chunks(cache)):
        data = bytearray(path.read_bytes())
        data[[len(data) // 2, -10, 100][number % 3]] ^= 0x20
        path.with_suffix(".new").write_bytes(data)
        os.replace(path.with_suffix(".new"), path)
    assert samples(Numbered("train"), shuffle=False, num_workers=2) == expected
    assert [path.read_bytes() for path in chunks(cache)] == [
        path.read_bytes() for path in sorted(root.rglob("chunks/*.zip"))
    ]


def test_which_version(project: str, cache: Path, root: Path, tmp_path: Path, monkeypatch: Any) -> None:
    write_pictures(tmp_path / "other", "pinned", 30)
    push("pinned", root=tmp_path / "other")
    write_pictures(tmp_path / "more", "pinned", 40)
    push("pinned", root=tmp_path / "more")
    assert len(ChunkDataset("pinned")) == 40
    monkeypatch.setenv("BENCH_DATASETS", '{"pinned": 1}')
    assert len(ChunkDataset("pinned")) == 30
    monkeypatch.setenv("BENCH_DATASETS", '{"pinned": 7}')
    with pytest.raises(CloudError, match="has no version 7"):
        ChunkDataset("pinned")
    monkeypatch.setenv("BENCH_DATASETS", "train=3")
    with pytest.raises(OptionsError, match="BENCH_DATASETS is 'train=3'"):
        ChunkDataset("pinned")


def test_the_project_of_a_folder(
    server: Server, project: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCH_PROJECT")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetNotFoundError, match="or with BENCH_PROJECT"):
        ChunkDataset("train")
    (tmp_path / "bench.toml").write_text(
        f'[project]\nid = "{project}"\nname = "catdog"\nendpoint = "{server.endpoint}"\n'
    )
    (tmp_path / "Models").mkdir()
    monkeypatch.chdir(tmp_path / "Models")
    assert len(ChunkDataset("train")) == COUNT


def test_what_cannot_be(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CloudError, match="no dataset 'test'"):
        ChunkDataset("test")
    monkeypatch.setenv("BENCH_TOKEN", "bench_p_nonsense")
    with cache_at(cache.with_name("other")), pytest.raises(CloudError, match="unknown or was revoked"):
        ChunkDataset("train")


def test_the_agent_ends_when_nobody_is_there(cache: Path) -> None:
    words = [sys.executable, "-m", "bench_agent", "serve", "--cache", str(cache), "--idle-seconds", "10"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        assert agent.stdout.read() == b'{"event": "ready"}\n'
        assert (
            subprocess.run(words, capture_output=True, timeout=60).returncode == 0
        )  # another one goes at once
        assert len(ChunkDataset("train")) == COUNT
        assert agent.poll() is None
        agent_of(cache).close()
        assert agent.wait(60) == 0
    assert not (cache / "agent" / "socket").exists()


def test_a_long_path_of_the_cache(cache: Path) -> None:
    with cache_at(cache / ("long" * 40)) as folder:
        assert len(ChunkDataset("train")) == COUNT
        assert agent_pid(folder) is not None


def test_a_stale_socket(cache: Path) -> None:
    assert len(ChunkDataset("train")) == COUNT
    assert kill_agent(cache)
    assert (cache / "agent" / "socket").exists()
    assert ChunkDataset("train")[3][0] == ChunkDataset("train")[3][0]


def test_the_first_fetch_shows_its_bytes(cache: Path, monkeypatch: Any, capfd: Any) -> None:
    monkeypatch.setattr("bench_data.remote._Waiting.shown", False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    ChunkDataset("train")[0]
    assert "Fetching train" in capfd.readouterr().err
