"""A real server, and datasets to send to it."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import bench_auth
import numpy as np
import psutil
from bench_auth import channel
from bench_data import ProcessorDataset, WriteOptions, write_chunks
from bench_protos.projects.v1 import projects_pb2
from bench_protos.projects.v1.projects_pb2_grpc import ProjectServiceStub
from free_ports import free_port

DATABASE_VARIABLE = "BENCH_DATABASE_URL"
PASSWORD = "correct horse battery"
START_SECONDS = 180.0
"""On a busy machine."""


class Blocks(ProcessorDataset):
    """Label-only samples of random numbers."""

    def __init__(self, count: int, seed: int = 0) -> None:
        self._values = np.random.default_rng(seed).integers(0, 1 << 62, (count, 512))

    def __len__(self) -> int:
        return len(self._values)

    def get_label_and_numeric_data(self, item: int) -> Any:
        return self._values[item]


def write(root: Path, name: str, samples: int, seed: int = 0, chunk_bytes: int = 1 << 20) -> Path:
    options = WriteOptions(workers=1, chunk_bytes=chunk_bytes, durable=False)
    return write_chunks(Blocks(samples, seed), name, root=root, options=options).path


class Server:
    """`bench-server start` in a folder, which can be killed and started again.

    Its database is SQLite, or one of its own on the PostgreSQL server that BENCH_DATABASE_URL names. It has a
    runner only if an engine is named.
    """

    def __init__(self, data: Path, database: str | None, engine: str = "") -> None:
        self.data, self.port, self.engine = data, free_port(), engine
        self.environment = {name: value for name, value in os.environ.items() if name != DATABASE_VARIABLE}
        if database is not None:
            self.environment[DATABASE_VARIABLE] = database
        if engine:
            self.environment["BENCH_ENGINE"] = engine
            self.environment.setdefault("BENCH_BASE_IMAGE", "bench-base:bookworm")  # made by .ci/base-image
        self.endpoint = f"http://localhost:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [sys.executable, "-m", "bench_server", "start", "--data", str(self.data)]
        self._process = subprocess.Popen(
            [*words, "--port", str(self.port), *([] if self.engine else ["--no-runner"])],
            env=self.environment,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(bench_auth.UnreachableError):
                bench_auth.server_info(self.endpoint)
                return
        raise AssertionError(f"the server did not start ({self._process.poll()})")

    def rpc_pid(self) -> int:
        """Of the process that serves the calls."""
        return self.pid_of("bench_server.rpc")

    def pid_of(self, module: str) -> int:
        """Of a process of the server."""
        assert self._process is not None
        children = psutil.Process(self._process.pid).children()
        [pid] = [child.pid for child in children if module in child.cmdline()]
        return int(pid)

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of bench-server with this server's data."""
        command = [sys.executable, "-m", "bench_server", *words, "--data", str(self.data)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=self.environment)

    def kill(self) -> None:
        """kill -9 of all its processes."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, 9)
            self._process.wait()
            self._process = None

    def refuse_links(self) -> None:
        """Make it impossible to link anything into the data folder: a file lies where the links would."""
        incoming = self.data / "incoming"
        if incoming.is_dir():
            incoming.rmdir()
        incoming.touch()

    def create_project(self) -> str:
        stub = ProjectServiceStub(bench_auth.open_channel(self.endpoint))
        request = projects_pb2.CreateProjectRequest(request_id=str(uuid4()), name=f"p{uuid4().hex}")
        return bench_auth.call(stub.CreateProject, request).project.id


@contextlib.contextmanager
def running_server(folder: Path, *, links: bool = False, engine: str = "") -> Iterator[Server]:
    """A server with its owner logged in here: BENCH_CONFIG_DIR is set until it ends.

    Unless told otherwise it takes nothing by link, as a server elsewhere.
    """
    with _database() as database:
        yield from _running(Server(folder / "data", database, engine), folder / "config", links)


def _database() -> contextlib.AbstractContextManager[str | None]:
    given = os.environ.get(DATABASE_VARIABLE)
    return contextlib.nullcontext() if given is None else empty_database(given)


@contextlib.contextmanager
def empty_database(given: str) -> Iterator[str]:
    """The URL of an empty database on the PostgreSQL server whose URL is given."""
    import psycopg

    name = f"bench_{uuid4().hex}"
    with psycopg.connect(given, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield f"{given.rpartition('/')[0]}/{name}"
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _running(server: Server, config: Path, links: bool) -> Iterator[Server]:
    os.environ["BENCH_CONFIG_DIR"] = str(config)
    try:
        server.start()
        if not links:
            server.refuse_links()
        bench_auth.create_owner(server.endpoint, "ada", PASSWORD)
        yield server
    finally:
        channel.close_channels()
        server.kill()
        del os.environ["BENCH_CONFIG_DIR"]
