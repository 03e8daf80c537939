"""push and pull on the server's own machine: linked, and safe from what the user does to the files later."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_tools import Blocks, Server, running_server, write
from bench_data import ChunkDataset, dataset_info, process_datasets, pull, push, verify
from bench_data.errors import CloudError
from stream_tools import cache_at


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server"), links=True) as made:
        yield made


@pytest.fixture
def project(server: Server) -> str:
    return server.create_project()


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in (".zip", ".npz"))


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in files(folder))


def change(path: Path, at: int = 1000) -> None:
    """Change a byte of a file in place, as a careless program would."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def check(server: Server) -> "subprocess.CompletedProcess[str]":
    return server.command("check")


def test_chunks_that_are_not_kept_are_linked_and_stay_there(
    server: Server, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_PROJECT", project)
    with cache_at(tmp_path / "cache"):
        info = process_datasets(Blocks(1000), ChunkDataset, "train", root=tmp_path, keep_chunks=False)
    assert info.uploaded is not None
    folder = tmp_path / "train"
    assert (info.uploaded.moved_bytes, info.uploaded.linked_bytes) == (0, info.bytes + size(folder))
    assert list(folder.rglob("*.zip")) == []
    assert not list((server.data / "incoming").iterdir())
    pull("train", root=tmp_path)
    assert (len(list(folder.rglob("*.zip"))), verify(folder).ok) == (info.chunks, True)
    assert check(server).stdout == "No problems.\n"


def test_no_byte_goes_over(server: Server, project: str, tmp_path: Path) -> None:
    folder = write(tmp_path, "train", 1000)
    pushed = push("train", project=project, root=tmp_path)
    assert (pushed.moved_bytes, pushed.linked_bytes) == (0, size(folder))
    assert {path.stat().st_mode & 0o222 for path in files(folder)} == {0}
    assert not list((server.data / "incoming").iterdir())
    pulled = pull("train", project=project, root=tmp_path / "there")
    assert (pulled.moved_bytes, pulled.linked_bytes) == (0, size(folder))
    copy = tmp_path / "there" / "train"
    assert verify(copy).ok
    assert {path.stat().st_mode & 0o777 for path in files(copy)} == {0o444}
    again = push("train", project=project, root=tmp_path)
    assert (again.moved_bytes, again.linked_bytes) == (0, 0)


def test_a_dataset_that_is_written_again_leaves_the_servers_alone(project: str, tmp_path: Path) -> None:
    first = dataset_info(write(tmp_path, "train", 500)).fingerprint
    push("train", project=project, root=tmp_path)
    write(tmp_path, "train", 500, seed=1)
    assert push("train", project=project, root=tmp_path).version_number == 2
    pull("train", project=project, version=1, root=tmp_path / "there")
    assert verify(tmp_path / "there" / "train").ok
    assert dataset_info(tmp_path / "there" / "train").fingerprint == first


def test_a_file_that_is_changed_in_place_is_never_served(
    server: Server, project: str, tmp_path: Path
) -> None:
    folder = write(tmp_path, "train", 1000)
    push("train", project=project, root=tmp_path)
    chunk = next((folder / "chunks").iterdir())
    whole = chunk.read_bytes()
    change(chunk)
    found = check(server)
    if chunk.stat().st_nlink == 1:  # it was cloned
        assert found.stdout == "No problems.\n"
        return
    assert found.returncode == 1
    assert found.stdout.startswith(f"blob {chunk.stem}")
    with pytest.raises(CloudError, match=r"was changed on the server's disk.*\nHint: Push the dataset again"):
        pull("train", project=project, root=tmp_path / "there")
    with pytest.raises(CloudError, match="is not what its dataset says"):
        push("train", project=project, root=tmp_path)
    chunk.unlink()
    chunk.write_bytes(whole)
    healed = push("train", project=project, root=tmp_path)
    assert (healed.version_number, healed.linked_bytes) == (1, len(whole))
    assert check(server).stdout == "No problems.\n"
    pull("train", project=project, root=tmp_path / "there")
    assert verify(tmp_path / "there" / "train").ok


def test_so_is_one_that_was_pulled(server: Server, project: str, tmp_path: Path) -> None:
    write(tmp_path, "train", 500)
    server.refuse_links()
    push("train", project=project, root=tmp_path)
    (server.data / "incoming").unlink()
    assert pull("train", project=project, root=tmp_path / "there").moved_bytes == 0
    assert check(server).stdout == "No problems.\n"
    chunk = next((tmp_path / "there" / "train" / "chunks").iterdir())
    cloned = chunk.stat().st_nlink == 1
    change(chunk)
    assert (check(server).returncode == 0) == cloned
    push("train", project=project, root=tmp_path)
    assert check(server).stdout == "No problems.\n"


def test_a_file_that_was_only_touched_is_served(server: Server, project: str, tmp_path: Path) -> None:
    folder = write(tmp_path, "train", 500)
    push("train", project=project, root=tmp_path)
    for path in files(folder):
        os.utime(path)
    assert check(server).stdout == "No problems.\n"
    assert pull("train", project=project, root=tmp_path / "there").moved_bytes == 0


def test_a_file_that_is_open_for_writing_is_copied(project: str, tmp_path: Path) -> None:
    folder = write(tmp_path, "train", 500)
    chunk = next((folder / "chunks").iterdir())
    with chunk.open("r+b"):
        pushed = push("train", project=project, root=tmp_path)
    assert pushed.moved_bytes == chunk.stat().st_size
    assert pushed.linked_bytes == size(folder) - chunk.stat().st_size
    assert chunk.stat().st_mode & 0o200


def test_a_damaged_chunk_is_not_taken(project: str, tmp_path: Path) -> None:
    folder = write(tmp_path, "train", 500)
    change(next((folder / "chunks").iterdir()))
    with pytest.raises(CloudError, match="is not what its dataset says"):
        push("train", project=project, root=tmp_path)


def test_another_file_system(server: Server, project: str, tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == server.data.stat().st_dev:
        pytest.skip("there is one file system only")
    root = other / f"bench-{os.getpid()}"
    try:
        folder = write(root, "train", 500)
        assert push("train", project=project, root=root).moved_bytes == size(folder)
    finally:
        subprocess.run(["rm", "-rf", str(root)], check=True)
