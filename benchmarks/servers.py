"""Servers for the works that need one: each in processes of its own, gone afterwards."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

START_SECONDS = 60.0
MLFLOW_START_SECONDS = 300.0
"""It makes its tables by all migrations that it ever had, and imports itself in several processes."""


@dataclass(frozen=True)
class BenchServer:
    """A server with an owner who is logged in here, and a project.

    Args:
        endpoint: Its URL.
        data: Its folder.
        project: The project's id.
    """

    endpoint: str
    data: Path
    project: str

    def pid(self) -> int:
        """Of the process that serves the calls."""
        for status in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                words = status.read_bytes().split(b"\0")
                if b"bench_server.rpc" in words and f"--clear=unix:{self.data}/rpc.sock".encode() in words:
                    return int(status.parent.name)
        raise RuntimeError("the server's rpc process is gone")


@contextmanager
def bench_server(folder: Path, *, links: bool) -> Iterator[BenchServer]:
    """A bench-server; unless `links`, it takes nothing by link, as one on another machine."""
    import bench_auth
    from bench_protos.projects.v1 import projects_pb2
    from bench_protos.projects.v1.projects_pb2_grpc import ProjectServiceStub

    data, port = folder / "data", free_port()
    os.environ["BENCH_CONFIG_DIR"] = str(folder / "config")
    words = [sys.executable, "-m", "bench_server", "start", "--data", str(data), "--port", str(port)]
    with _process(words) as wait:
        wait(port)
        if not links:
            (data / "incoming").touch()
        endpoint = f"http://localhost:{port}"
        bench_auth.create_owner(endpoint, "ada", "correct horse battery")
        request = projects_pb2.CreateProjectRequest(request_id=str(uuid4()), name="catdog")
        stub = ProjectServiceStub(bench_auth.open_channel(endpoint))
        yield BenchServer(endpoint, data, bench_auth.call(stub.CreateProject, request).project.id)


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """`rclone serve s3` of a folder whose folders are buckets; sets the variables that clients read."""
    port = free_port()
    words = ["rclone", "serve", "s3", str(folder), "--addr", f"127.0.0.1:{port}"]
    words += ["--auth-key", "bench,benchbench", "--vfs-cache-mode", "off", "--no-checksum"]
    os.environ.update(
        AWS_ACCESS_KEY_ID="bench",
        AWS_SECRET_ACCESS_KEY="benchbench",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
        S3_ENDPOINT_URL=f"http://127.0.0.1:{port}",
    )
    with _process(words) as wait:
        wait(port)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """`mlflow server` with its tables in SQLite, and without its runners of jobs, which would take a core."""
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    port = free_port()
    folder.mkdir()
    words = [
        str(Path(sys.executable).with_name("mlflow")),
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    words += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    words += ["--artifacts-destination", str(folder / "artifacts")]
    with _process(words, start_new_session=True) as wait:
        try:
            wait(port, MLFLOW_START_SECONDS)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(wait.process.pid, signal.SIGTERM)  # it leaves its workers behind


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _process(words: list[str], *, start_new_session: bool = False) -> Iterator["_Wait"]:
    process = subprocess.Popen(words, start_new_session=start_new_session)
    try:
        yield _Wait(process)
    finally:
        process.terminate()
        process.wait()


@dataclass(frozen=True)
class _Wait:
    process: "subprocess.Popen[bytes]"

    def __call__(self, port: int, seconds: float = START_SECONDS) -> None:
        """Return when the process listens."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.process.args!r} did not start")
