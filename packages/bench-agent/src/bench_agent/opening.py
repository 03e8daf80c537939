"""Opens a dataset of a server in the cache: all of it but the chunks."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from bench_auth import UnreachableError, call
from bench_core import atomic_write
from bench_data.manifest import CHUNKS, MANIFEST, read_segment_digests, segment_name
from bench_protos.data.v1 import datasets_pb2 as pb
from blake3 import blake3

from bench_agent.blobs import download, whole_size
from bench_agent.cache import Cache
from bench_agent.errors import TransferError
from bench_agent.routes import BlobFile, Route

STAGING = ".opening"
"""In a dataset's folder: the manifest before the segment files that it names are there."""


@dataclass(frozen=True)
class Opened:
    """A version of a dataset in the cache.

    Args:
        fingerprint: Of its content.
        version_number: Of the dataset.
        note: What the user should know, or None.
    """

    fingerprint: str
    version_number: int
    note: str | None = None


def open_version(
    cache: Cache, route: Route, endpoint: str | None, dataset: str, version_number: int
) -> Opened:
    """Ask the server for a version, and have its manifest and segment files in the cache.

    Args:
        cache: The cache.
        route: To the project.
        endpoint: The server's URL, as the reader gave it.
        dataset: The dataset's name.
        version_number: 0: the latest.

    Raises:
        AuthError: The server refuses, or is away and this user never opened this here.
        TransferError, DiskFullError: It does not get here.
    """
    key = "\0".join([endpoint or "", route.project_id, dataset, str(version_number)])
    record = cache.folder / "opened" / f"{blake3(key.encode()).hexdigest()[:32]}.json"
    request = pb.GetVersionRequest(
        project_id=route.project_id, dataset=dataset, version_number=version_number
    )
    try:
        found = call(route.stub.GetVersion, request)
    except UnreachableError as error:
        if opened := _opened_before(cache, record, dataset, error):
            return opened
        raise
    version = found.version
    _fill(cache.dataset(_checked(version.fingerprint)), route, found.manifest)
    fields = {"fingerprint": version.fingerprint, "version_number": version.version_number}
    atomic_write(record, json.dumps(fields).encode(), durable=False)
    return Opened(version.fingerprint, version.version_number)


def _opened_before(cache: Cache, record: Path, dataset: str, error: UnreachableError) -> Opened | None:
    try:
        fields = json.loads(record.read_bytes())
        opened = Opened(_checked(fields["fingerprint"]), int(fields["version_number"]))
    except (OSError, ValueError, KeyError, TypeError, TransferError):
        return None
    if not (cache.dataset(opened.fingerprint) / MANIFEST).exists():
        return None
    note = f"{error.message}; going on with version {opened.version_number} of {dataset!r} from the cache"
    return Opened(opened.fingerprint, opened.version_number, note)


def _fill(folder: Path, route: Route, manifest: bytes) -> None:
    staging = folder / STAGING
    for place in (folder / CHUNKS, staging):
        place.mkdir(parents=True, exist_ok=True)
    (staging / MANIFEST).write_bytes(manifest)
    for digest in read_segment_digests(staging):
        path = folder / segment_name(digest)
        download(route, BlobFile(digest, whole_size(route, digest), path), durable=False)
    os.replace(staging / MANIFEST, folder / MANIFEST)
    staging.rmdir()


def _checked(fingerprint: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", fingerprint):
        raise TransferError(f"the server calls a version {fingerprint!r}, which is no fingerprint")
    return fingerprint
