"""gRPC and nothing else: a stream of 1 MiB messages for each file, whose receiver hashes and writes.

`python -m benchmarks.contenders.bare_stream PORT FOLDER` is its server.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from blake3 import blake3

from benchmarks.contenders.bench_data_chunks import write
from benchmarks.data import warm
from benchmarks.servers import free_port

__all__ = ["open_transfer", "write"]  # it moves what bench-data wrote

MESSAGE_BYTES = 1 << 20
SAME: dict[str, Any] = {"request_serializer": None, "response_deserializer": None}


class Transfer:
    """Files up and down."""

    def __init__(self, channel: grpc.Channel, store: Path) -> None:
        self._up = channel.stream_unary("/bare.Bare/Up", **SAME)
        self._down = channel.unary_stream("/bare.Bare/Down", **SAME)
        self._store = store

    def upload(self, folder: Path) -> None:
        for path in _files(folder):
            self._up(_messages(path))

    def download(self, target: Path) -> None:
        warm(self._store)
        target.mkdir(parents=True)
        for path in _files(self._store):
            _receive(self._down(path.name.encode()), target / path.name)


@contextmanager
def open_transfer(scratch: Path) -> Iterator[Transfer]:
    port, store = free_port(), scratch / "bare"
    store.mkdir()
    command = [sys.executable, "-m", "benchmarks.contenders.bare_stream", str(port), str(store)]
    process = subprocess.Popen(command)
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(60)
            yield Transfer(channel, store)
    finally:
        process.terminate()
        process.wait()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def _messages(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while data := file.read(MESSAGE_BYTES):
            yield data


def _receive(messages: Iterator[bytes], path: Path) -> None:
    hasher = blake3()
    with path.open("wb", buffering=0) as file:
        for data in messages:
            file.write(data)
            hasher.update(data)
    hasher.digest()


def _serve(port: int, store: Path) -> None:
    numbers = iter(range(1 << 30))

    def up(messages: Iterator[bytes], context: Any) -> bytes:
        _receive(messages, store / f"{next(numbers):06}")
        return b"+"

    def down(name: bytes, context: Any) -> Iterator[bytes]:
        return _messages(store / name.decode())

    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Up": grpc.stream_unary_rpc_method_handler(up),
        "Down": grpc.unary_stream_rpc_method_handler(down),
    }
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("bare.Bare", handlers)])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Path(sys.argv[2]))
