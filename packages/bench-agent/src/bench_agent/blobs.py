"""One blob up or down, from where the last attempt left off."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import grpc
from bench_auth import AuthError, call, translate
from bench_core import sync_file
from bench_data.manifest import file_digest
from bench_protos.data.v1 import datasets_pb2 as pb
from blake3 import blake3

from bench_agent.errors import DiskFullError, TransferError
from bench_agent.links import take
from bench_agent.routes import BlobFile, Route

MESSAGE_BYTES = 1 << 20
"""Data in one message: the most that the contract takes."""

ATTEMPTS = 3
"""So often may bytes arrive as others before somebody has to look."""


def upload(route: Route, blob: BlobFile, offset: int) -> None:
    """Send a blob.

    Args:
        route: Where to.
        blob: What.
        offset: How many bytes the server has.

    Raises:
        TransferError: The file is not what its digest says, or arrives as another.
        AuthError: The server refuses, or is away for too long.
    """
    attempts = 0
    while True:
        sending = _Sending(route, blob, offset)
        try:
            with sending:
                offset = route.stub.UploadBlob(sending.messages()).received_bytes
            if offset >= blob.size:
                route.patience.progressed()
                return
            if not sending.sent:
                attempts += 1
                _check_own(blob, attempts)  # the file ends before its size
        except grpc.RpcError as error:
            failure = translate(error)
            if getattr(failure, "reason", "") == "DIGEST_MISMATCH":
                attempts += 1
                _check_own(blob, attempts)
            else:
                route.patience.wait(failure)
            state = _state(route, blob.digest)
            if state.received_bytes > offset:
                route.patience.progressed()
            route.moved(state.received_bytes - offset - sending.sent)
            if state.complete:
                return
            offset = state.received_bytes  # all of them, perhaps: then a call without data completes it


class _Sending:
    """One call's messages."""

    def __init__(self, route: Route, blob: BlobFile, offset: int) -> None:
        self._route, self._blob, self._offset = route, blob, offset
        self._file = blob.path.open("rb", buffering=0)  # here, because gRPC would hide the error
        self.sent = 0

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def messages(self) -> Iterator[pb.UploadBlobRequest]:
        blob = self._blob
        yield pb.UploadBlobRequest(
            project_id=self._route.project_id,
            digest=blob.digest,
            size_bytes=blob.size,
            offset=self._offset,
        )
        self._file.seek(self._offset)
        while data := self._file.read(MESSAGE_BYTES):
            yield pb.UploadBlobRequest(data=data)
            self.sent += len(data)
            self._route.moved(len(data))


def whole_size(route: Route, digest: str) -> int:
    """How many bytes a blob of the project has; waits while the server is away."""
    return _state(route, digest).received_bytes


def _state(route: Route, digest: str) -> pb.BlobState:
    return find(route, pb.FindBlobsRequest(project_id=route.project_id, digests=[digest]))[0]


def find(route: Route, request: pb.FindBlobsRequest) -> list[pb.BlobState]:
    """FindBlobs; waits while the server is away."""
    while True:
        try:
            return list(call(route.stub.FindBlobs, request).blobs)
        except AuthError as error:
            route.patience.wait(error)


def download(route: Route, blob: BlobFile, *, durable: bool = True) -> None:
    """Fetch a blob into its file, which appears whole.

    Args:
        route: Where from.
        blob: What, and where to.
        durable: Return only when the content is on the disk.

    Raises:
        TransferError: It arrives as another, again and again.
        DiskFullError: The disk is full; what arrived is kept.
        AuthError: The server refuses, or is away for too long.
    """
    part = blob.path.with_name(blob.path.name + ".part")
    if blob.path.exists() and blob.path.stat().st_size == blob.size and file_digest(blob.path) == blob.digest:
        route.spared(blob.size)
        return
    if take(route, blob):
        part.unlink(missing_ok=True)
        return
    try:
        for _ in range(ATTEMPTS):
            if _fetch(route, blob, part, durable):
                os.replace(part, blob.path)
                return
            part.unlink()
            route.moved(-blob.size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"the disk of {part.parent} is full", hint="Make room; the same call goes on from here."
            ) from error
        raise
    raise TransferError(
        f"blob {blob.digest[:12]} arrived damaged {ATTEMPTS} times",
        hint="Something on the way changes bytes, or the server's disk does: `bench-server check --digests`.",
    )


def _fetch(route: Route, blob: BlobFile, part: Path, durable: bool) -> bool:
    """Fetch what is missing of a part; whether it then is the blob."""
    with open(os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b", buffering=0) as file:
        hasher = blake3()
        while piece := file.read(MESSAGE_BYTES):
            hasher.update(piece)
        offset = file.tell()
        route.moved(offset)
        while offset < blob.size:
            request = pb.DownloadBlobRequest(project_id=route.project_id, digest=blob.digest, offset=offset)
            try:
                for message in route.stub.DownloadBlob(request):
                    data = message.data  # a copy each time
                    _write(file, data)
                    hasher.update(data)
                    offset += len(data)
                    route.moved(len(data))
                    route.patience.progressed()
            except grpc.RpcError as error:
                route.patience.wait(translate(error))
        if durable:
            sync_file(file.fileno())
        return offset == blob.size and hasher.hexdigest() == blob.digest


def _write(file: BinaryIO, data: bytes) -> None:
    """Write all of it: a disk that becomes full takes a part first, and says so the next time."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _check_own(blob: BlobFile, attempts: int) -> None:
    if file_digest(blob.path) != blob.digest:
        raise TransferError(
            f"{blob.path} is not what its dataset says", hint="`bench_data.verify` says more; write it again."
        )
    if attempts >= ATTEMPTS:
        raise TransferError(
            f"{blob.path.name} arrived damaged {attempts} times", hint="Something on the way changes bytes."
        )
