"""The cloud half of process_datasets, against a real server."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bench_auth
import pytest
from agent_tools import Blocks, Server, running_server
from bench_data import ChunkDataset, WriteOptions, process_datasets, pull, verify
from bench_data.errors import CloudError, LoadingTestError
from bench_protos.data.v1 import datasets_pb2 as pb
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture
def project(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    made = server.create_project()
    monkeypatch.setenv("BENCH_PROJECT", made)
    monkeypatch.setenv("BENCH_DATA_ROOT", str(tmp_path / "datasets"))
    monkeypatch.chdir(tmp_path)
    return made


class Small(Blocks):
    write_options = WriteOptions(workers=1, chunk_bytes=1 << 20, durable=False)


class Noting(ChunkDataset):
    """Notes from which folder samples are loaded."""

    def __getitem__(self, item: int) -> Any:
        Path("loaded").mkdir(exist_ok=True)
        Path("loaded", self.info.path.parent.name).touch()
        return super().__getitem__(item)


class WithRoot(Noting):
    def __init__(self, name: str, *rest: Any) -> None:
        super().__init__(name, *rest)


def loaded() -> list[str]:
    """The roots that samples came from since the last call."""
    found = sorted(Path("loaded").glob("*")) if Path("loaded").exists() else []
    for path in found:
        path.unlink()
    return [path.name for path in found]


def delete_all(server: Server, project: str) -> None:
    stub = DatasetServiceStub(bench_auth.open_channel(server.endpoint))
    request = pb.ListVersionsRequest(project_id=project, dataset="train")
    for version in stub.ListVersions(request).versions:
        stub.DeleteVersion(
            pb.DeleteVersionRequest(
                project_id=project, dataset="train", version_number=version.version_number
            )
        )


def test_it_uploads_and_loads_the_servers_copy(
    project: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    info = process_datasets(Small(600), Noting, "train")
    assert info.uploaded is not None
    assert (info.uploaded.version_number, info.uploaded.fingerprint) == (1, info.fingerprint)
    assert loaded() == [".train.from-server", "datasets"]
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == ["train"]
    size = (info.uploaded.moved_bytes + info.uploaded.linked_bytes) / 1e6
    assert re.fullmatch(
        r"train: 600 samples, .*\n"
        r"train: loading test passed \(600 samples\) in \S+ s\n"
        rf"train: version 1, {size:.1f} MB uploaded\n"
        r"train from the server: loading test passed \(600 samples\) in \S+ s\n",
        capfd.readouterr().err,
    )
    pull("train", root=tmp_path / "there")
    assert verify(tmp_path / "there" / "train").ok


def test_nothing_is_done_again(project: str, capfd: pytest.CaptureFixture[str]) -> None:
    process_datasets(Small(100), Noting, "train")
    loaded()
    capfd.readouterr()
    again = process_datasets(Small(100), Noting, "train")
    assert again.uploaded is not None
    assert (again.uploaded.version_number, again.uploaded.moved_bytes, loaded()) == (1, 0, [])
    assert capfd.readouterr().err.splitlines()[1:] == [
        "train: loading test passed before",
        "train: version 1, the server has it",
        "train from the server: loading test passed before",
    ]


def test_what_was_deleted_on_the_server_goes_there_again(server: Server, project: str) -> None:
    process_datasets(Small(100), Noting, "train")
    delete_all(server, project)
    loaded()
    again = process_datasets(Small(100), Noting, "train")
    assert again.uploaded is not None
    pull("train", root="there")
    assert loaded() == []  # version 1 of a new dataset of that name, with the content that passed


def test_new_samples_make_a_new_version(project: str) -> None:
    process_datasets(Small(100), Noting, "train")
    loaded()
    second = process_datasets(Small(110), Noting, "train")
    assert second.uploaded is not None
    assert second.uploaded.version_number == 2
    assert ".train.from-server" in loaded()


@pytest.mark.parametrize("rest", [(), ("roots",)])
def test_classes_with_their_own_arguments(project: str, rest: tuple[str, ...]) -> None:
    from bench_data.server_copy import _with_root

    args, kwargs = _with_root(WithRoot, ("train", *rest), {}, Path("elsewhere"))
    assert (args, kwargs) == (("train", *(Path("elsewhere") for _ in rest)), {})
    given = _with_root(ChunkDataset, (), {"name": "train", "root": "roots"}, Path("elsewhere"))
    assert given == (("train", Path("elsewhere")), {})


def test_a_root_that_is_given(project: str) -> None:
    process_datasets(Small(100), Noting, "train", root="roots")
    assert loaded() == [".train.from-server", "roots"]


def test_without_a_project_it_stays_here(
    project: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BENCH_PROJECT")
    assert process_datasets(Small(100), Noting, "train").uploaded is None
    assert loaded() == ["datasets"]
    assert "server" not in capfd.readouterr().err


def test_the_project_of_the_project_file(
    server: Server, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCH_PROJECT")
    Path("bench.toml").write_text(
        f'[project]\nid = "{project}"\nname = "catdog"\nendpoint = "{server.endpoint}"\n'
    )
    assert process_datasets(Small(100), Noting, "train").uploaded is not None


def test_without_a_login_it_stays_here_and_says_so(
    server: Server, project: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BENCH_CONFIG_DIR", "nowhere")
    assert process_datasets(Small(100), Noting, "train").uploaded is None
    assert "train: not uploaded: there is no login at" in capfd.readouterr().err
    monkeypatch.setenv("BENCH_ENDPOINT", server.endpoint)
    monkeypatch.setenv("BENCH_TOKEN", "bench_p_nonsense")
    with pytest.raises(CloudError, match="unknown or was revoked"):
        process_datasets(Small(100), Noting, "train")


def test_a_class_that_fails_on_the_servers_copy_only(project: str) -> None:
    class Failing(ChunkDataset):
        def __getitem__(self, item: int) -> Any:
            if "from-server" in str(self.info.path) and item == 41:
                raise ValueError("not here")
            return super().__getitem__(item)

    with pytest.raises(LoadingTestError, match="sample 41 could not be loaded: ValueError: not here"):
        process_datasets(Small(100), Failing, "train")
    assert [path.name for path in Path("datasets").iterdir()] == ["train"]
