"""push and pull, as a user calls them."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_tools import Server, running_server, write
from bench_data import ChunkDataset, dataset_info, pull, push, verify
from bench_data.errors import CloudError, DataError, OptionsError


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture
def project(server: Server) -> str:
    return server.create_project()


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.suffix in (".zip", ".npz"))


def test_there_and_back(project: str, tmp_path: Path) -> None:
    folder = write(tmp_path, "train", 2000)
    pushed = push("train", project=project, root=tmp_path)
    assert (pushed.version_number, pushed.moved_bytes) == (1, size(folder))
    assert pushed.fingerprint == dataset_info(folder).fingerprint
    pulled = pull("train", project=project, root=tmp_path / "there")
    assert (pulled.version_number, pulled.moved_bytes) == (1, size(folder))
    assert pulled.fingerprint == pushed.fingerprint
    copy = tmp_path / "there" / "train"
    assert verify(copy).ok
    assert sorted(path.name for path in copy.iterdir() if path.suffix != ".npz") == [
        ".lock",
        "chunks",
        "dataset.json",
    ]
    here, there = ChunkDataset("train", tmp_path), ChunkDataset("train", tmp_path / "there")
    assert (here[1234] == there[1234]).all()


def test_nothing_goes_twice(project: str, tmp_path: Path) -> None:
    write(tmp_path, "train", 500)
    push("train", project=project, root=tmp_path)
    again = push("train", project=project, root=tmp_path)
    assert (again.version_number, again.moved_bytes) == (1, 0)
    pull("train", project=project, root=tmp_path / "there")
    assert pull("train", project=project, root=tmp_path / "there").moved_bytes == 0


def test_only_what_is_new_goes(project: str, tmp_path: Path) -> None:
    write(tmp_path, "train", 500)
    first = push("train", project=project, root=tmp_path)
    write(tmp_path, "train", 510)
    second = push("train", project=project, root=tmp_path)
    assert second.version_number == 2
    assert 0 < second.moved_bytes < first.moved_bytes / 2
    with pytest.raises(CloudError, match="has no version 3"):
        pull("train", project=project, version=3, root=tmp_path / "there")
    old = pull("train", project=project, version=1, root=tmp_path / "there")
    assert old.fingerprint == first.fingerprint
    with pytest.raises(CloudError, match="another version"):
        pull("train", project=project, root=tmp_path / "there")
    assert dataset_info(tmp_path / "there" / "train").fingerprint == first.fingerprint


def test_a_pull_uses_what_an_earlier_one_got(project: str, tmp_path: Path) -> None:
    folder = write(tmp_path, "train", 3000)
    push("train", project=project, root=tmp_path)
    pull("train", project=project, root=tmp_path / "there")
    copy = tmp_path / "there" / "train"
    (copy / "dataset.json").unlink()
    chunk = sorted((copy / "chunks").iterdir())[0]
    data = chunk.read_bytes()
    chunk.with_name(chunk.name + ".part").write_bytes(data[: len(data) // 2])
    chunk.unlink()
    damaged = sorted((copy / "chunks").glob("*.zip"))[0]
    damaged.write_bytes(bytes(damaged.stat().st_size))
    pull("train", project=project, root=tmp_path / "there")
    assert verify(copy).ok
    assert dataset_info(copy).fingerprint == dataset_info(folder).fingerprint
    assert not list(copy.rglob("*.part"))


def test_a_damaged_chunk_is_not_sent(project: str, tmp_path: Path) -> None:
    folder = write(tmp_path, "train", 500)
    chunk = next((folder / "chunks").iterdir())
    data = bytearray(chunk.read_bytes())
    data[1000] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(CloudError, match=r"is not what its dataset says\n") as caught:
        push("train", project=project, root=tmp_path)
    assert chunk.name in str(caught.value)
    with pytest.raises(CloudError, match="no dataset 'train'"):
        pull("train", project=project, root=tmp_path / "there")


def test_a_chunk_that_was_cut_short_is_not_sent(project: str, tmp_path: Path) -> None:
    folder = write(tmp_path, "train", 500)
    chunk = next((folder / "chunks").iterdir())
    os.truncate(chunk, 1000)
    with pytest.raises(CloudError, match="is not what its dataset says"):
        push("train", project=project, root=tmp_path)


def test_the_example_of_the_readme(project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (Path(__file__).parents[2] / "bench-data" / "README.md").read_text()
    [example] = re.findall(
        r"^```python\n(from bench_data import pull, push\n.*?)^```", readme, re.DOTALL | re.MULTILINE
    )
    write(tmp_path / "roots", "train", 5)
    monkeypatch.setenv("BENCH_DATA_ROOT", str(tmp_path / "roots"))
    monkeypatch.chdir(tmp_path)
    exec(example.replace("01a2...", project))
    assert verify(tmp_path / "elsewhere" / "train").ok


def test_what_cannot_be(project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_PROJECT", raising=False)
    with pytest.raises(OptionsError, match="no project is known"):
        push("train", root=tmp_path)
    with pytest.raises(CloudError, match="there is no dataset in"):
        push("train", project=project, root=tmp_path)
    write(tmp_path, "train", 5)
    with pytest.raises(CloudError, match="is no UUID"):
        push("train", project="catdog", root=tmp_path)
    with pytest.raises(CloudError, match="there is no project"):
        push("train", project="01234567-89ab-7def-8123-456789abcdef", root=tmp_path)
    monkeypatch.setenv("BENCH_TOKEN", "bench_p_nonsense")
    with pytest.raises(CloudError, match=r"unknown or was revoked\nHint: Log in again"):
        push("train", project=project, root=tmp_path)


def test_the_project_of_the_environment(
    project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "train", 5)
    monkeypatch.setenv("BENCH_PROJECT", project)
    assert push("train", root=tmp_path).version_number == 1


def test_the_progress_bar_shows_bytes(
    project: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "train", 500)
    push("train", project=project, root=tmp_path, progress=True)
    said = capfd.readouterr()
    assert said.out == ""
    assert "Pushing train" in said.err
    assert "MB/s" in said.err or "MB" in said.err


NO_GRPC = """
import sys
from bench_data import ChunkDataset, loader, push, pull, write_chunks
push("train", project=sys.argv[1], root=sys.argv[2])
pull("train", project=sys.argv[1], root=sys.argv[2] + "/there")
batches = loader(ChunkDataset("train", sys.argv[2] + "/there"), batch_size=50, num_workers=2)
assert sum(len(batch) for batch in batches) == 100
print([name for name in sys.modules if name.split(".")[0] in ("grpc", "google", "bench_auth", "bench_agent")])
"""


def test_the_users_process_never_imports_grpc(project: str, tmp_path: Path) -> None:
    write(tmp_path, "train", 100)
    words = [sys.executable, "-c", NO_GRPC, project, str(tmp_path)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "[]\n", "")


def test_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from bench_data import cloud

    monkeypatch.setattr(cloud, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="bench-agent is not installed"):
        push("train", project="x", root=tmp_path)
    shutil.rmtree(tmp_path)
