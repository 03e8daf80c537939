"""A dataset to the server."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import grpc
from bench_auth import AuthError, NotPossibleError, call
from bench_data.manifest import MANIFEST, Manifest, chunk_name, read_manifest, segment_name
from bench_protos.data.v1 import datasets_pb2 as pb
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub

from bench_agent.blobs import ATTEMPTS, find, upload
from bench_agent.counting import Count, Progress
from bench_agent.errors import TransferError
from bench_agent.links import give, local_folder
from bench_agent.patience import Patience
from bench_agent.routes import BlobFile, Route

STREAMS = 2
"""Blobs on their way at a time."""

FIND_DIGESTS = 10_000
"""What FindBlobs takes at a time."""

VERSION_SECONDS = 3600.0
"""The server reads the whole dataset before it makes a version."""


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Args:
        dataset: The dataset's name on the server.
        version_number: The version.
        fingerprint: Of its content.
        sent_bytes: What had to go over.
        linked_bytes: What the server, being on this machine, took over by link.
        existed: Whether the server had this content as this version already.
    """

    dataset: str
    version_number: int
    fingerprint: str
    sent_bytes: int
    linked_bytes: int
    existed: bool


def push(
    channel: grpc.Channel,
    project_id: str,
    folder: Path,
    dataset: str,
    progress: Progress = lambda *_: None,
    *,
    manifest_path: Path | None = None,
) -> Pushed:
    """Send a dataset and make a version of it.

    Args:
        channel: To the server, with a token.
        project_id: The project.
        folder: The dataset's folder.
        dataset: Its name on the server.
        progress: See Progress.
        manifest_path: The manifest, where it is not yet `dataset.json` of the folder.

    Raises:
        TransferError: A file is not what the dataset says, or is neither here nor there.
        AuthError: The server refuses, or is away for too long.
        DataError: There is no dataset, or it is damaged.
    """
    manifest_path = manifest_path or folder / MANIFEST
    manifest = read_manifest(folder, manifest_path)
    count = Count(progress)
    route = Route(
        DatasetServiceStub(channel), project_id, Patience(), count.moved, count.spared, local_folder(channel)
    )
    blobs = blobs_of(manifest)
    request = pb.CreateVersionRequest(
        request_id=str(uuid4()),
        project_id=project_id,
        dataset=dataset,
        manifest=manifest_path.read_bytes(),
    )
    for attempt in range(1, ATTEMPTS + 1):
        _send(route, blobs, count)
        try:
            made = _create_version(route, request)
            break
        except NotPossibleError as error:  # what was there when we looked has been removed, or was damaged
            if error.reason != "BLOBS_MISSING" or attempt == ATTEMPTS:
                raise
    version = made.version
    return Pushed(
        dataset,
        version.version_number,
        version.fingerprint,
        count.moved_bytes,
        count.spared_bytes,
        made.existed,
    )


def _send(route: Route, blobs: list[BlobFile], count: Count) -> None:
    """Have the server get what it lacks."""
    missing = _missing(route, blobs)
    for blob, _ in missing:
        if not blob.path.exists():
            raise TransferError(
                f"{blob.path} is not here, and the project does not have it",
                hint="Write the dataset again: only what is missing is written.",
            )
    count.wanted(sum(blob.size - offset for blob, offset in missing))
    left = give(route, missing)
    with ThreadPoolExecutor(STREAMS) as threads:
        for done in [threads.submit(upload, route, blob, offset) for blob, offset in left]:
            try:
                done.result()
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise


def _create_version(route: Route, request: pb.CreateVersionRequest) -> pb.CreateVersionResponse:
    while True:
        try:
            return call(route.stub.CreateVersion, request, seconds=VERSION_SECONDS)
        except AuthError as error:
            route.patience.wait(error)


def blobs_of(manifest: Manifest) -> list[BlobFile]:
    """The files that a manifest names, each once."""
    segments = [manifest.folder / segment_name(digest) for digest in manifest.segment_digests]
    chunks = [manifest.folder / chunk_name(digest) for digest in manifest.chunk_digests]
    found = [
        *zip(manifest.segment_digests, (path.stat().st_size for path in segments), segments, strict=True),
        *zip(manifest.chunk_digests, manifest.chunk_sizes, chunks, strict=True),
    ]
    return [BlobFile(*fields) for fields in dict.fromkeys(found)]


def _missing(route: Route, blobs: list[BlobFile]) -> list[tuple[BlobFile, int]]:
    """The blobs that the server lacks, and how many bytes it has of each."""
    named = {blob.digest: blob for blob in blobs}
    return [(named[digest], offset) for digest, offset in missing_digests(route, list(named))]


def missing_digests(route: Route, digests: Sequence[str]) -> list[tuple[str, int]]:
    """Those of the blobs that the project lacks, and how many bytes the server has of each."""
    missing = []
    for at in range(0, len(digests), FIND_DIGESTS):
        batch = digests[at : at + FIND_DIGESTS]
        states = find(route, pb.FindBlobsRequest(project_id=route.project_id, digests=batch))
        found = zip(batch, states, strict=True)
        missing += [(digest, state.received_bytes) for digest, state in found if not state.complete]
    return missing
