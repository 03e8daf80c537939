"""A transfer that is killed, cut or damaged goes on, or says so; nothing half-made is ever seen."""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import bench_auth
import pytest
from agent_tools import Server, running_server, write
from bench_auth.credentials import CredentialStore
from bench_data import dataset_info, pull, push, verify
from bench_protos.data.v1 import datasets_pb2 as pb
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub
from proxy import HarmOnce, cut_after, drop_once, flip_once, harmful_proxy, nothing, stall_once

KILLS = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture
def project(server: Server) -> str:
    return server.create_project()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a dataset of 120 MB in chunks of 16 MB."""
    place = tmp_path_factory.mktemp("datasets")
    write(place, "train", 30_000, chunk_bytes=16 << 20)
    return place


def size(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.suffix in (".zip", ".npz"))


def versions(server: Server, project: str) -> int:
    stub = DatasetServiceStub(bench_auth.open_channel(server.endpoint))
    found = stub.ListDatasets(pb.ListDatasetsRequest(project_id=project)).datasets
    return sum(dataset.version_count for dataset in found)


def agent(*arguments: str) -> "subprocess.Popen[bytes]":
    words = [sys.executable, "-m", "bench_agent", *arguments]
    return subprocess.Popen(words, stdout=subprocess.PIPE)


def kill_while_it_works(process: "subprocess.Popen[bytes]", seed: int) -> bool:
    """Kill an agent some time after it began to move bytes; whether it had not finished."""
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(random.Random(seed).uniform(0, 0.12))
    process.kill()
    process.wait()
    rest = process.stdout.read()
    process.stdout.close()
    return b'"done"' not in rest


def test_a_killed_push_goes_on(server: Server, root: Path) -> None:
    killed = 0
    for seed in range(KILLS):
        project = server.create_project()
        words = ["push", str(root / "train"), "--name", "train", "--project", project]
        if kill_while_it_works(agent(*words), seed):
            killed += 1
            assert versions(server, project) == 0
        pushed = push("train", project=project, root=root)
        assert (pushed.version_number, versions(server, project)) == (1, 1)
        assert pushed.moved_bytes <= size(root)
    assert killed > KILLS // 2


def test_a_killed_pull_goes_on(project: str, root: Path, tmp_path: Path) -> None:
    push("train", project=project, root=root)
    killed = 0
    for seed in range(KILLS):
        there = tmp_path / str(seed) / "train"
        if kill_while_it_works(agent("pull", "train", "--project", project, "--into", str(there)), seed):
            killed += 1
            assert not (there / "dataset.json").exists()
        pull("train", project=project, root=there.parent)
        assert verify(there).ok
        assert dataset_info(there).fingerprint == dataset_info(root / "train").fingerprint
    assert killed > KILLS // 2


def test_a_pull_that_was_killed_before_it_had_the_manifest_goes_on(
    project: str, root: Path, tmp_path: Path
) -> None:
    push("train", project=project, root=root)
    (tmp_path / "train" / ".pulling").mkdir(parents=True)
    pull("train", project=project, root=tmp_path)
    assert verify(tmp_path / "train").ok


def kill_now_and_then(server: Server, kills: list[float]) -> None:
    luck = random.Random(0)
    while len(kills) < KILLS:
        time.sleep(luck.uniform(0.1, 1.0))
        server.kill()
        kills.append(time.monotonic())
        server.start()


def test_a_server_that_is_killed_again_and_again(server: Server, root: Path, tmp_path: Path) -> None:
    kills: list[float] = []
    killer = threading.Thread(target=kill_now_and_then, args=(server, kills))
    made: list[str] = [server.create_project()]
    killer.start()
    try:
        while len(kills) < KILLS or len(made) < 2:
            there = tmp_path / str(len(made))
            assert push("train", project=made[-1], root=root).version_number == 1
            pull("train", project=made[-1], root=there)
            assert verify(there / "train").ok
            shutil.rmtree(there)
            made.append(new_project(server))
    finally:
        killer.join()
    assert len(kills) == KILLS
    assert [versions(server, project) for project in made[:-1]] == [1] * (len(made) - 1)
    found = server.command("check", "--digests")
    assert (found.returncode, found.stdout) == (0, "No problems.\n"), found


def new_project(server: Server) -> str:
    """A project, however often the server is killed meanwhile."""
    while True:
        with contextlib.suppress(bench_auth.AuthError):
            return server.create_project()
        time.sleep(0.2)


def log_in_at(server: Server, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The login of the server, for another way to it."""
    store = CredentialStore(Path(os.environ["BENCH_CONFIG_DIR"]) / "credentials.json")
    credential = store.get(server.endpoint)
    assert credential is not None
    monkeypatch.setenv("BENCH_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("BENCH_TOKEN", credential.token)


def test_connections_that_are_cut(
    server: Server, project: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = cut_after(20_000_000)
    with harmful_proxy(server.port, cut, cut) as port:
        log_in_at(server, port, monkeypatch)
        assert push("train", project=project, root=root).moved_bytes == size(root)
        pull("train", project=project, root=tmp_path)
    assert verify(tmp_path / "train").ok


@pytest.mark.parametrize("harm", [drop_once, stall_once])
def test_bytes_that_do_not_arrive(
    server: Server, project: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: HarmOnce
) -> None:
    with harmful_proxy(server.port, harm(20_000_000), nothing) as port:
        log_in_at(server, port, monkeypatch)
        push("train", project=project, root=root)
    with harmful_proxy(server.port, nothing, harm(20_000_000)) as port:
        log_in_at(server, port, monkeypatch)
        pull("train", project=project, root=tmp_path)
    assert verify(tmp_path / "train").ok


@pytest.mark.parametrize("seed", range(3))
def test_a_byte_that_is_changed_on_the_way(
    server: Server, project: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    after = 10_000_000 + seed * 17_000_000
    with harmful_proxy(server.port, flip_once(seed, after), nothing) as port:
        log_in_at(server, port, monkeypatch)
        push("train", project=project, root=root)
    with harmful_proxy(server.port, nothing, flip_once(seed, after)) as port:
        log_in_at(server, port, monkeypatch)
        pull("train", project=project, root=tmp_path)
    assert verify(tmp_path / "train").ok
    assert dataset_info(tmp_path / "train").fingerprint == dataset_info(root / "train").fingerprint
