"""Chunks to the server while they are written; each goes from here when it is there.

What is in the folder, and who puts it there: section 8 of bench-data's FORMAT.md.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import grpc
from bench_auth import AuthError, call
from bench_protos.data.v1 import datasets_pb2 as pb
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub

from bench_agent.blobs import find, upload
from bench_agent.counting import Count
from bench_agent.links import give, local_folder
from bench_agent.patience import Patience
from bench_agent.push import STREAMS, missing_digests
from bench_agent.routes import BlobFile, Route

LOOK_SECONDS = 0.05
"""Between two looks into the folder: a chunk takes longer to write."""

TELL_SECONDS = 10.0
"""Between two words about a server that is away."""

Request = dict[str, Any]
Say = Callable[..., None]


@dataclass(frozen=True)
class Sent:
    """What was sent.

    Args:
        sent_bytes: What had to go over.
        linked_bytes: What the server, being on this machine, took over by link.
    """

    sent_bytes: int
    linked_bytes: int


def send(channel: grpc.Channel, project_id: str, requests: "Queue[Request]", say: Say) -> Sent:
    """Send what comes into a folder, and remove what the server has, until told that no more comes.

    Args:
        channel: To the server, with a token.
        project_id: The project.
        requests: What the writing process asks for; README.md has them.
        say: Takes an event and its fields.

    Raises:
        TransferError: A file is not what its name says, or arrives as another.
        AuthError: The server refuses, or is away: at the start, or for too long.
    """
    count = Count(lambda *_: None)
    patience = _TellingPatience(say)
    stub = DatasetServiceStub(channel)
    route = Route(stub, project_id, patience, count.moved, count.spared, local_folder(channel))
    call(stub.FindBlobs, pb.FindBlobsRequest(project_id=project_id))  # whether the server lets us
    say("ready")
    with ThreadPoolExecutor(STREAMS) as threads:
        try:
            _Sending(route, threads, say).run(requests)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return Sent(count.moved_bytes, count.spared_bytes)


class _Sending:
    def __init__(self, route: Route, threads: ThreadPoolExecutor, say: Say) -> None:
        self._route, self._threads, self._say = route, threads, say
        self._folder: Path | None = None
        self._running: dict[Path, Future[None]] = {}
        self._is_finishing = False

    def run(self, requests: "Queue[Request]") -> None:
        """Until the last request was `finish` and the folder is empty."""
        while True:
            with contextlib.suppress(Empty):
                self._answer(requests.get(timeout=LOOK_SECONDS))
            self._look()
            if self._is_finishing and not self._running:
                return

    def _answer(self, request: Request) -> None:
        if request["request"] == "watch":
            self._folder = Path(request["folder"])
        elif request["request"] == "find":
            self._say("found", missing=self._missing(request["digests"]))
        else:
            self._is_finishing = True

    def _missing(self, digests: Sequence[str]) -> list[str]:
        return [digest for digest, _ in missing_digests(self._route, digests)]

    def _look(self) -> None:
        """Begin to send what has come, and raise what became of the rest."""
        for path, future in list(self._running.items()):
            if future.done():
                del self._running[path]
                future.result()
        for path in self._folder.glob("*.zip") if self._folder else ():
            if path not in self._running:
                self._running[path] = self._threads.submit(self._send, path)

    def _send(self, path: Path) -> None:
        blob = BlobFile(path.stem, path.stat().st_size, path)
        request = pb.FindBlobsRequest(project_id=self._route.project_id, digests=[blob.digest])
        [state] = find(self._route, request)
        if not state.complete:
            for left, offset in give(self._route, [(blob, state.received_bytes)]):
                upload(self._route, left, offset)
        self._route.patience.progressed()
        path.unlink()


class _TellingPatience(Patience):
    """Says what is waited for.

    Args:
        say: Takes the event.
    """

    def __init__(self, say: Say) -> None:
        super().__init__()
        self._say, self._said = say, -TELL_SECONDS
        self._telling = threading.Lock()

    def wait(self, error: AuthError) -> None:
        """Wait before the next attempt."""
        with self._telling:
            if time.monotonic() > self._said + TELL_SECONDS:
                self._said = time.monotonic()
                self._say("waiting", message=error.message)
        super().wait(error)
