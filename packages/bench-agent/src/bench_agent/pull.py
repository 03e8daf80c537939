"""A dataset from the server."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
from bench_auth import AuthError, call
from bench_core import atomic_write, sync_folder
from bench_data.folders import write_lock
from bench_data.manifest import MANIFEST, read_manifest, read_segment_digests, segment_name
from bench_data.streamed import forget_streamed, read_streamed
from bench_protos.data.v1 import datasets_pb2 as pb
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub

from bench_agent.blobs import download, whole_size
from bench_agent.counting import Count, Progress
from bench_agent.errors import DatasetExistsError
from bench_agent.links import local_folder
from bench_agent.patience import Patience
from bench_agent.push import STREAMS, blobs_of
from bench_agent.routes import BlobFile, Route

PULLING = ".pulling"
"""What has arrived before the dataset is whole: the manifest and the segment files."""


@dataclass(frozen=True)
class Pulled:
    """What a pull did.

    Args:
        dataset: The dataset's name on the server.
        version_number: The version.
        fingerprint: Of its content.
        received_bytes: What had to come over.
        linked_bytes: What was here already, or could be linked from the server's own disk.
        existed: Whether the folder had this content already.
    """

    dataset: str
    version_number: int
    fingerprint: str
    received_bytes: int
    linked_bytes: int
    existed: bool


def pull(
    channel: grpc.Channel,
    project_id: str,
    dataset: str,
    folder: Path,
    *,
    version_number: int = 0,
    progress: Progress = lambda *_: None,
) -> Pulled:
    """Fetch a version of a dataset; its folder becomes a dataset when all is there.

    Args:
        channel: To the server, with a token.
        project_id: The project.
        dataset: The dataset's name on the server.
        folder: The dataset's folder here. Files of an earlier pull that broke off are used. If its chunks
            were on the server only, they are here afterwards.
        version_number: Which version; 0: the latest.
        progress: See Progress.

    Raises:
        DatasetExistsError: The folder has another dataset.
        TransferError, DiskFullError: The bytes do not get here.
        AuthError: The server refuses, or is away for too long.
    """
    count = Count(progress)
    stub, here = DatasetServiceStub(channel), local_folder(channel)
    route = Route(stub, project_id, Patience(), count.moved, count.spared, here)
    request = pb.GetVersionRequest(project_id=project_id, dataset=dataset, version_number=version_number)
    found = _version(route, request)
    version = found.version
    with write_lock(folder):
        existed = _is_there(folder, found.manifest) and read_streamed(folder, version.fingerprint) is None
        if not existed:
            count.wanted(version.stored_bytes)
            _fetch(route, folder, found.manifest)
            forget_streamed(folder)
    return Pulled(
        dataset, version.version_number, version.fingerprint, count.moved_bytes, count.spared_bytes, existed
    )


def _version(route: Route, request: pb.GetVersionRequest) -> pb.GetVersionResponse:
    while True:
        try:
            return call(route.stub.GetVersion, request)
        except AuthError as error:
            route.patience.wait(error)


def _is_there(folder: Path, manifest: bytes) -> bool:
    present = _manifest_in(folder)
    if present is None:
        return False
    if present != manifest:
        raise DatasetExistsError(
            f"{folder} has another dataset, or another version of this one",
            hint="Pull into another root, or move that folder away.",
        )
    return True


def _manifest_in(folder: Path) -> bytes | None:
    try:
        return (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        return None


def _fetch(route: Route, folder: Path, manifest: bytes) -> None:
    staging = folder / PULLING
    if staging.exists() and _manifest_in(staging) != manifest:
        shutil.rmtree(
            staging
        )  # of another version, or of a pull that was killed at its very beginning or end
    staging.mkdir(exist_ok=True)
    atomic_write(staging / MANIFEST, manifest)
    digests = read_segment_digests(staging)
    sizes = [whole_size(route, digest) for digest in digests]
    paths = [staging / segment_name(digest) for digest in digests]
    _fetch_all(route, [BlobFile(*fields) for fields in zip(digests, sizes, paths, strict=True)])
    wanted = read_manifest(staging)
    chunks = blobs_of(wanted)[len(wanted.segments) :]
    _fetch_all(route, [BlobFile(b.digest, b.size, folder / b.path.relative_to(staging)) for b in chunks])
    for digest in wanted.segment_digests:
        os.replace(staging / segment_name(digest), folder / segment_name(digest))
    sync_folder(folder / "chunks")
    atomic_write(folder / MANIFEST, manifest)
    shutil.rmtree(staging)


def _fetch_all(route: Route, blobs: list[BlobFile]) -> None:
    with ThreadPoolExecutor(STREAMS) as threads:
        for done in [threads.submit(download, route, blob) for blob in blobs]:
            try:
                done.result()
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise
