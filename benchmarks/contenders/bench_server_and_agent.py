"""bench-server and bench-agent: what `bench_data_chunks` does over the network."""

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bench_auth
import grpc
import numpy as np
from bench_agent.pull import pull
from bench_agent.push import push
from bench_core import keep_freed_memory
from bench_protos.auth.v1 import auth_pb2
from bench_protos.auth.v1.auth_pb2_grpc import AuthServiceStub
from bench_protos.data.v1 import datasets_pb2
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub
from blake3 import blake3

from benchmarks.contenders import BATCH, WORKERS
from benchmarks.data import warm
from benchmarks.servers import BenchServer, bench_server

NAME = "train"


class Transfer:
    """A dataset up and down."""

    def __init__(self, server: BenchServer) -> None:
        self.server = server
        self._channel = bench_auth.open_channel(server.endpoint)
        keep_freed_memory()  # as the agent's process does

    def upload(self, folder: Path) -> None:
        self.push(folder)

    def push(self, folder: Path) -> int:
        """The bytes that went over."""
        return push(self._channel, self.server.project, folder / NAME, NAME).sent_bytes

    def download(self, target: Path) -> None:
        warm(self.server.data / "blobs")
        pull(self._channel, self.server.project, NAME, target / NAME)


@contextmanager
def open_transfer(scratch: Path) -> Iterator[Transfer]:
    with bench_server(scratch, links=False) as server:
        yield Transfer(server)


@contextmanager
def open_linked(scratch: Path) -> Iterator[Transfer]:
    with bench_server(scratch, links=True) as server:
        yield Transfer(server)


@contextmanager
def open_stream(folder: Path, scratch: Path) -> Iterator[Callable[[], Iterable[tuple[Any, Any]]]]:
    """Epochs over a dataset that is on the server only, each over the same cache, empty before the first."""
    with open_stream_and_download(folder, scratch) as (epoch, _):
        yield epoch


@contextmanager
def open_stream_and_download(
    folder: Path, scratch: Path
) -> Iterator[tuple[Callable[[], Iterable[tuple[Any, Any]]], Callable[[Path], object]]]:
    """The same, and a download of the dataset the same way."""
    from bench_data import loader

    from benchmarks.contenders.bench_data_chunks import TouchedBytes

    with bench_server(scratch, links=False) as server:
        Transfer(server).push(folder)
        os.environ.update(
            BENCH_ENDPOINT=f"unix:{server.data}/rpc.sock",
            BENCH_TOKEN=_token(server.endpoint),
            BENCH_PROJECT=server.project,
            BENCH_CACHE_DIR=str(scratch / "cache"),
        )

        def epoch() -> Iterable[tuple[Any, Any]]:
            dataset = TouchedBytes(NAME, root=scratch / "nothing")
            batches: Iterable[tuple[Any, Any]] = loader(
                dataset, batch_size=BATCH, shuffle="exact", num_workers=WORKERS
            )
            return batches

        def download(target: Path) -> None:
            warm(server.data / "blobs")
            channel = bench_auth.open_channel()
            pull(channel, server.project, NAME, target / NAME)

        yield epoch, download


def _token(endpoint: str) -> str:
    stub = AuthServiceStub(bench_auth.open_channel(endpoint))
    return bench_auth.call(stub.CreateToken, auth_pb2.CreateTokenRequest(name="streaming")).token


def call_times(server: BenchServer, clients: int, calls: int) -> dict[str, float]:
    """The 99th percentile of three calls, each made by so many clients at once, in milliseconds."""
    whole = server.project
    requests: dict[str, Callable[[grpc.Channel], Callable[[], Any]]] = {
        "check": lambda channel: _bound(
            AuthServiceStub(channel).GetCurrentUser, auth_pb2.GetCurrentUserRequest()
        ),
        "get": lambda channel: _bound(
            DatasetServiceStub(channel).GetVersion,
            datasets_pb2.GetVersionRequest(project_id=whole, dataset=NAME),
        ),
        "list": lambda channel: _bound(
            DatasetServiceStub(channel).ListDatasets, datasets_pb2.ListDatasetsRequest(project_id=whole)
        ),
    }
    return {
        f"{name}_milliseconds": _percentile(server, request, clients, calls)
        for name, request in requests.items()
    }


def _bound(method: Any, request: Any) -> Callable[[], Any]:
    return lambda: method(request, timeout=20)


def _percentile(
    server: BenchServer,
    request: Callable[[grpc.Channel], Callable[[], Any]],
    clients: int,
    calls: int,
) -> float:
    times: list[float] = []
    channel = bench_auth.open_channel(server.endpoint)

    def client() -> None:
        call = request(channel)
        call()
        for _ in range(calls):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statistics.quantiles(times, n=100)[98] * 1e3


def crowd(server: BenchServer, clients: int, seconds: float, blob_bytes: int) -> dict[str, float]:
    """Clients that upload a blob and download it again, over and over."""
    stub = DatasetServiceStub(bench_auth.open_channel(server.endpoint))
    end, lock = time.monotonic() + seconds, threading.Lock()
    moved = [0]
    failures: list[str] = []

    def client(number: int) -> None:
        random = np.random.default_rng(number)
        while time.monotonic() < end:
            try:
                _there_and_back(stub, server.project, random.bytes(blob_bytes))
            except (grpc.RpcError, AssertionError) as error:
                failures.append(repr(error))
            else:
                with lock:
                    moved[0] += 2 * blob_bytes

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "megabytes_per_second": moved[0] / (time.monotonic() - start) / 1e6,
        "errors": float(len(failures)),
    }


def _there_and_back(stub: DatasetServiceStub, project: str, data: bytes) -> None:
    digest = blake3(data).hexdigest()

    def messages() -> Iterator[datasets_pb2.UploadBlobRequest]:
        yield datasets_pb2.UploadBlobRequest(project_id=project, digest=digest, size_bytes=len(data))
        for at in range(0, len(data), 1 << 20):
            yield datasets_pb2.UploadBlobRequest(data=data[at : at + (1 << 20)])

    assert stub.UploadBlob(messages()).received_bytes == len(data)
    request = datasets_pb2.DownloadBlobRequest(project_id=project, digest=digest)
    assert b"".join(message.data for message in stub.DownloadBlob(request)) == data
