"""Blobs between here and a server of this user on this machine: cloned or linked, never copied."""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc
from bench_auth import AuthError, ServerAnswerError, call
from bench_data.manifest import file_digest
from bench_protos.auth.v1 import auth_pb2
from bench_protos.auth.v1.auth_pb2_grpc import AuthServiceStub
from bench_protos.data.v1 import datasets_pb2 as pb

from bench_agent.routes import BlobFile, Route

FICLONE = 0x40049409
"""Linux: share a file's blocks with a new file, until one of the two is written to."""

BATCH_BYTES = 4 << 30
BATCH_FILES = 1_000
"""In one AdoptBlobs: the server hashes them before it answers."""

ADOPT_SECONDS = 600.0


def local_folder(channel: grpc.Channel) -> Path | None:
    """The data folder of the server, if it is this user's and on this machine.

    Args:
        channel: To the server.
    """
    try:
        info = call(AuthServiceStub(channel).GetServerInfo, auth_pb2.GetServerInfoRequest())
        folder = Path(info.data_folder)
        incoming = folder / "incoming"
        if not info.data_folder or folder.stat().st_uid != os.geteuid():
            return None
        if json.loads((folder / "server.json").read_text())["server_id"] != info.server_id:
            return None  # the channel is a tunnel to another machine
        incoming.mkdir(mode=0o700, exist_ok=True)
        return folder
    except (AuthError, OSError, ValueError, KeyError, TypeError):
        return None


def give(route: Route, blobs: Sequence[tuple[BlobFile, int]]) -> list[tuple[BlobFile, int]]:
    """Have the server take files over by link.

    Args:
        route: Where to.
        blobs: The files, each with the bytes that the server has of it.

    Returns:
        Those that have to be uploaded.

    Raises:
        AuthError: The server refuses for another reason than that it cannot take them so.
    """
    if route.folder is None:
        return list(blobs)
    left: list[tuple[BlobFile, int]] = []
    for batch in _batches(blobs):
        left += _give(route, route.folder / "incoming", batch)
    return left


def _batches(blobs: Sequence[tuple[BlobFile, int]]) -> Iterator[list[tuple[BlobFile, int]]]:
    batch: list[tuple[BlobFile, int]] = []
    taken = 0
    for blob, offset in blobs:
        if batch and (taken + blob.size > BATCH_BYTES or len(batch) == BATCH_FILES):
            yield batch
            batch, taken = [], 0
        batch.append((blob, offset))
        taken += blob.size
    if batch:
        yield batch


def _give(route: Route, incoming: Path, batch: list[tuple[BlobFile, int]]) -> list[tuple[BlobFile, int]]:
    names = [secrets.token_hex(16) for _ in batch]
    try:
        for name, (blob, _) in zip(names, batch, strict=True):
            clone_or_link(blob.path, incoming / name)
        files = [
            pb.IncomingFile(digest=blob.digest, name=name)
            for name, (blob, _) in zip(names, batch, strict=True)
        ]
        request = pb.AdoptBlobsRequest(project_id=route.project_id, files=files)
        states = call(route.stub.AdoptBlobs, request, seconds=ADOPT_SECONDS).blobs
    except OSError:
        return batch
    except AuthError as error:
        if isinstance(error, ServerAnswerError) and error.reason not in (
            "",
            "NOT_LOOPBACK",
            "INTERNAL_ERROR",
        ):
            raise
        return batch
    finally:
        for name in names:
            with contextlib.suppress(OSError):
                (incoming / name).unlink(missing_ok=True)
    left = []
    for state, (blob, offset) in zip(states, batch, strict=True):
        if state.complete:
            route.spared(blob.size - offset)
        else:
            left.append((blob, offset))
    return left


def take(route: Route, blob: BlobFile) -> bool:
    """Get a blob by a link to the server's file, its digest compared.

    Returns:
        Whether it is there now; if not, it has to be downloaded.
    """
    if route.folder is None:
        return False
    temporary = blob.path.with_name(f".{blob.path.name}.{secrets.token_hex(4)}.tmp")
    try:
        request = pb.LendBlobsRequest(project_id=route.project_id, digests=[blob.digest])
        [path] = call(route.stub.LendBlobs, request).paths
        if not Path(path).is_relative_to(route.folder):  # or empty
            return False
        clone_or_link(Path(path), temporary)
        if file_digest(temporary) != blob.digest:
            return False
        temporary.chmod(0o444)  # the server's own is for its user only
        os.replace(temporary, blob.path)
    except (AuthError, OSError):
        return False
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    route.spared(blob.size)
    return True


def clone_or_link(source: Path, target: Path) -> None:
    """Make a file of the same bytes that takes no room.

    Raises:
        OSError: The file system cannot, or the user may not.
    """
    with source.open("rb", buffering=0) as file:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.ioctl(descriptor, FICLONE, file.fileno())
            return
        except OSError:
            target.unlink()
        finally:
            os.close(descriptor)
    os.link(source, target, follow_symlinks=False)
