"""A server without space, and one with many clients."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import bench_auth
import psutil
import pytest
from agent_tools import Server, running_server, write
from bench_data import pull, push, verify
from bench_data.errors import CloudError
from bench_protos.data.v1 import datasets_pb2 as pb
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub
from blake3 import blake3

CLIENTS, SECONDS, BLOB_BYTES = 32, 8.0, 2 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 40 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "bench-agent-test", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_of_the_server(small_disk: Path, tmp_path: Path) -> None:
    folder = write(tmp_path, "train", 3000)
    with running_server(small_disk) as server:
        project = server.create_project()
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4096 - (6 << 20)))
        with pytest.raises(CloudError, match="the server's disk is full"):
            push("train", project=project, root=tmp_path)
        ballast.unlink()
        pushed = push("train", project=project, root=tmp_path)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.suffix in (".zip", ".npz"))
        assert 0 < pushed.moved_bytes < size
        pull("train", project=project, root=tmp_path / "there")
        assert verify(tmp_path / "there" / "train").ok


def grown(server: Server) -> tuple[int, int]:
    process = psutil.Process(server.rpc_pid())
    return process.memory_info().rss, process.num_fds()


def crowd(server: Server, project: str, failures: list[str]) -> int:
    """How often a blob went there and back while many clients were at it."""
    stub = DatasetServiceStub(bench_auth.open_channel(server.endpoint))
    end, done = time.monotonic() + SECONDS, [0]

    def client() -> None:
        while time.monotonic() < end:
            try:
                there_and_back(stub, project, os.urandom(BLOB_BYTES))
                done[0] += 1
            except Exception as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done[0]


def there_and_back(stub: DatasetServiceStub, project: str, data: bytes) -> None:
    digest = blake3(data).hexdigest()

    def messages() -> Iterator[pb.UploadBlobRequest]:
        yield pb.UploadBlobRequest(project_id=project, digest=digest, size_bytes=len(data))
        for at in range(0, len(data), 1 << 20):
            yield pb.UploadBlobRequest(data=data[at : at + (1 << 20)])

    assert stub.UploadBlob(messages()).received_bytes == len(data)
    request = pb.DownloadBlobRequest(project_id=project, digest=digest)
    assert b"".join(message.data for message in stub.DownloadBlob(request)) == data


def test_many_clients_leave_nothing_behind(tmp_path: Path) -> None:
    failures: list[str] = []
    with running_server(tmp_path) as server:
        project = server.create_project()
        crowd(server, project, failures)  # its threads and buffers
        before = grown(server)
        assert crowd(server, project, failures) >= CLIENTS
        time.sleep(1)
        after = grown(server)
    assert failures == []
    assert after[0] - before[0] < 64 << 20
    assert after[1] - before[1] <= 5
