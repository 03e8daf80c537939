"""A write whose chunks go to the server is killed, or its agent, or the server: it goes on from there."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import bench_auth
import psutil
import pytest
from agent_tools import Server, running_server
from bench_data import pull, verify, write_chunks
from bench_data.manifest import read_manifest
from bench_protos.data.v1 import datasets_pb2 as pb
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub
from stream_tools import cache_at, wait_until
from streamed_source import Slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture
def project(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    made = server.create_project()
    monkeypatch.setenv("BENCH_PROJECT", made)
    monkeypatch.setenv("BENCH_DATA_ROOT", str(tmp_path / "datasets"))
    with cache_at(tmp_path / "cache"):
        yield made


def start(*, workers: int = 2) -> "subprocess.Popen[bytes]":
    words = [sys.executable, str(Path(__file__).with_name("streamed_source.py")), str(workers)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: "subprocess.Popen[bytes]") -> dict[str, int]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()
    found: dict[str, int] = json.loads(out)
    return found


def end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.communicate()


def blobs_there(server: Server, project: str, digests: list[str]) -> set[str]:
    stub = DatasetServiceStub(bench_auth.open_channel(server.endpoint))
    request = pb.FindBlobsRequest(project_id=project, digests=digests)
    return {state.digest for state in stub.FindBlobs(request).blobs if state.complete}


def versions(server: Server, project: str) -> int:
    stub = DatasetServiceStub(bench_auth.open_channel(server.endpoint))
    found = stub.ListDatasets(pb.ListDatasetsRequest(project_id=project)).datasets
    return sum(dataset.version_count for dataset in found)


def folder() -> Path:
    return Path(os.environ["BENCH_DATA_ROOT"]) / "train"


@pytest.fixture(scope="module")
def digests(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Of the chunks of the same dataset, written in one go to this machine."""
    info = write_chunks(Slow(1), "train", root=tmp_path_factory.mktemp("local"))
    return read_manifest(info.path).chunk_digests


def send_some(server: Server, project: str, digests: list[str], count: int) -> "subprocess.Popen[bytes]":
    """A write of which the server has so many chunks."""
    process = start()
    wait_until(lambda: len(blobs_there(server, project, digests)) >= count or process.poll() is not None)
    return process


@pytest.mark.parametrize("count", [1, 5, 12])
def test_a_killed_write_writes_no_chunk_that_the_server_has(
    server: Server, digests: list[str], project: str, tmp_path: Path, count: int
) -> None:
    end(send_some(server, project, digests, count))
    wait_until(lambda: not agents(project))
    there = blobs_there(server, project, digests)
    assert count <= len(there) < len(digests)
    assert versions(server, project) == 0
    done = finish(start())
    assert done["chunks_written"] <= len(digests) - len(there)
    assert done["moved_bytes"] + done["linked_bytes"] < done["bytes"] * (1 - (len(there) - 1) / len(digests))
    assert list(folder().rglob("*.zip")) == []
    pull("train", root=tmp_path / "there")
    assert verify(tmp_path / "there" / "train").ok
    assert versions(server, project) == 1


def test_blocks_whose_chunks_the_server_lost_are_written_again(
    server: Server, digests: list[str], project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(send_some(server, project, digests, 5))
    wait_until(lambda: not agents(project))
    assert list(folder().rglob("block-*.npz"))
    other = server.create_project()  # which has none of them
    monkeypatch.setenv("BENCH_PROJECT", other)
    finish(start())
    assert (len(blobs_there(server, other, digests)), versions(server, other)) == (len(digests), 1)


def agents(project: str) -> list[psutil.Process]:
    """The processes that send for a project."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if "send" in words and project in words:
            found.append(process)
    return found


def test_a_killed_agent_is_told_and_the_same_call_goes_on(
    server: Server, digests: list[str], project: str
) -> None:
    process = send_some(server, project, digests, 3)
    for agent in agents(project):
        agent.kill()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"bench-agent ended unexpectedly (-9)" in err
    assert b"The same call goes on from there." in err
    there = len(blobs_there(server, project, digests))
    assert finish(start())["chunks_written"] <= len(digests) - there
    assert versions(server, project) == 1


def test_a_server_that_is_killed_and_comes_back(server: Server, digests: list[str], project: str) -> None:
    process = send_some(server, project, digests, 3)
    server.kill()
    time.sleep(2)
    assert process.poll() is None
    assert len(list(folder().rglob("*.zip"))) <= 2 * 4
    server.start()
    done = finish(process)
    assert (done["chunks_written"], versions(server, project)) == (len(digests), 1)


def test_ctrl_c_leaves_no_process(server: Server, digests: list[str], project: str) -> None:
    process = send_some(server, project, digests, 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert err.strip().endswith(b"KeyboardInterrupt")
    wait_until(lambda: not agents(project))
    assert finish(start())["chunks"] == len(digests)


def test_a_chunk_that_a_crash_of_the_machine_damaged_is_written_again(
    server: Server, digests: list[str], project: str
) -> None:
    process = send_some(server, project, digests, 2)
    server.kill()
    try:
        wait_until(lambda: len(list(folder().rglob("outgoing/*.zip"))) >= 2)
        end(process)
        wait_until(lambda: not agents(project))
        left = next(folder().rglob("outgoing/*.zip"))
        left.write_bytes(bytes(left.stat().st_size))
    finally:
        server.start()
    assert finish(start())["chunks"] == len(digests)
    assert len(blobs_there(server, project, digests)) == len(digests)
