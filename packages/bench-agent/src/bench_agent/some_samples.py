"""Some samples of a version on a server, by ranges: a batch does not need its chunks."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from bench_auth import translate
from bench_data.chunk_file import ChunkFile
from bench_data.chunk_reader import ChunkRow
from bench_data.chunk_store import ChunkStore
from bench_data.errors import FormatError
from bench_data.manifest import Manifest, read_manifest
from bench_data.order import Indices
from bench_data.remote import early_copy

from bench_agent.blobs import download
from bench_agent.cache import Cache
from bench_agent.demand import Dataset
from bench_agent.early import Part, copy_part, parts_of
from bench_agent.opening import open_version
from bench_agent.routes import BlobFile, Route

SECONDS = 300.0
"""For the ranges of a chunk."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A sample of a version.

    Args:
        number: In the version.
        label: As the processor gave it.
        files: Its files; they can be read as long as the folder is there.
    """

    number: int
    label: Any
    files: list[ChunkFile]


def read_samples(
    route: Route, folder: Path, dataset: str, version_number: int, choose: Callable[[Manifest], Indices]
) -> Iterator[Sample]:
    """Read some samples.

    Args:
        route: To the project.
        folder: An empty one, which the parts of chunks are put in.
        dataset: Its name.
        version_number: The version.
        choose: Says which samples of it, in their order.

    Raises:
        AuthError: The server refuses, or is away.
        TransferError, DiskFullError: A chunk does not get here.
        DataError: It is damaged.
    """
    cache = Cache(folder)
    opened = open_version(cache, route, None, dataset, version_number)
    place = cache.dataset(opened.fingerprint)
    manifest = read_manifest(place)
    numbers = choose(manifest)
    rows = _fetched(route, Dataset(place), manifest.chunk_rows(), numbers)
    store = ChunkStore(rows, manifest.chunk_starts, manifest.tree, with_files=manifest.with_files)
    for number in numbers.tolist():
        [found] = store.read([number])
        label, files = found if manifest.with_files else (found, [])
        yield Sample(number=number, label=label, files=files)


def _fetched(route: Route, dataset: Dataset, rows: list[ChunkRow], numbers: Indices) -> list[ChunkRow]:
    """The rows of all chunks; those that have the samples are here, in part or whole."""
    parts = {part.path: part for part in parts_of(dataset, numbers)}
    found = list(rows)
    for at in sorted({int(dataset.starts.searchsorted(number, "right")) - 1 for number in numbers}):
        path = dataset.paths[at]
        if path in parts and _has_part(route, parts[path]):
            found[at] = rows[at]._replace(path=early_copy(path))
        else:
            blob = BlobFile(dataset.digests[at], int(dataset.sizes[at]), path)
            download(route, blob, durable=False)
    return found


def _has_part(route: Route, part: Part) -> bool:
    """Fetch what is needed of a chunk; False where all of it is as good."""
    try:
        copy_part(part, route, time.monotonic() + SECONDS)
    except FormatError:
        return False
    except grpc.RpcError as error:
        raise translate(error) from None
    return True
