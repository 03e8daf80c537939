"""Any sample of a version by its number, and which of them a batch had; read from the stored files."""

import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from bench_data import batch_samples
from bench_data.chunk_ranges import ChunkRanges
from bench_data.errors import CorruptChunkError, DataError
from bench_data.manifest import MANIFEST, chunk_name, read_manifest, segment_name
from bench_data.zip_reader import ZipRanges
from django.conf import settings

from bench_server.data_folder import CHECK_PREFIX
from bench_server.datasets.blobs import the_store
from bench_server.datasets.models import Version
from bench_server.datasets.services import HOSTILE, link_files
from bench_server.datasets.store import Damaged
from bench_server.errors import Refused


class StoredRanges(ZipRanges):
    """A blob that is a stored ZIP.

    Args:
        digest: Of the blob.
        name: Of the file in its dataset, for messages.
        header_name: Of its header.

    Raises:
        DataError: It is missing or damaged.
    """

    def __init__(self, digest: str, name: str, header_name: str) -> None:
        self._digest, self._name, self._store = digest, name, the_store()
        size = self._store.size(digest)
        if size is None:
            raise CorruptChunkError(f"{name} is missing or was changed")
        super().__init__(Path(name), size, header_name)

    def pread(self, offset: int, length: int) -> bytes:
        """See ZipRanges."""
        length = max(0, min(length, self.size - offset))
        try:
            return b"".join(self._store.read(self._digest, offset, length))
        except Damaged:
            raise CorruptChunkError(f"{self._name} was changed") from None


@dataclass(frozen=True)
class _Segment:
    """A segment file of a version.

    Args:
        digest: Of it.
        samples: In all its chunks.
    """

    digest: str
    samples: int

    @cached_property
    def _file(self) -> StoredRanges:
        return StoredRanges(self.digest, segment_name(self.digest), "segment.json")

    @cached_property
    def _ends(self) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """The number behind each chunk's last sample."""
        column = self._file.column_range("samples")
        return np.cumsum(column.values(0, column.shape[0]), dtype=np.int64)

    def chunk_of(self, number: int) -> tuple[str, int]:
        """The digest of the chunk that has a sample, and the sample's number in it."""
        place = int(np.searchsorted(self._ends, number, side="right"))
        digest = self._file.column_range("digests").values(32 * place, 32).tobytes().hex()
        return digest, number - (int(self._ends[place - 1]) if place else 0)


def located(version: Version, numbers: Iterable[int]) -> Iterator[tuple[int, ChunkRanges, int]]:
    """Samples of a version: the number of each, its chunk, and its number in the chunk.

    Args:
        version: Which.
        numbers: Of samples that it has.

    Raises:
        DataError: A file is missing or damaged.
    """
    segments = [
        _Segment(found["digest"], found["samples"])
        for found in json.loads(bytes(version.manifest))["segments"]
    ]
    ends = np.cumsum([segment.samples for segment in segments])
    opened: dict[str, ChunkRanges] = {}
    for number in numbers:
        place = int(np.searchsorted(ends, number, side="right"))
        digest, row = segments[place].chunk_of(number - (int(ends[place - 1]) if place else 0))
        if digest not in opened:
            opened[digest] = ChunkRanges(StoredRanges(digest, chunk_name(digest), "chunk.json"))
        yield number, opened[digest], row


def samples_of_batch(version: Version, order: dict[str, Any], epoch: int, batch: int) -> list[int]:
    """The numbers of the samples that a loader's batch had, in their order.

    Args:
        version: Of the loader's dataset.
        order: What the loader said of itself; not trusted.
        epoch: The epoch.
        batch: Which one of the rank's in the epoch.

    Raises:
        Refused: BATCH_NOT_FOUND: the order is none; BLOBS_MISSING.
    """
    with tempfile.TemporaryDirectory(prefix=CHECK_PREFIX, dir=settings.FOLDER.path) as name:
        folder = Path(name)
        (folder / MANIFEST).write_bytes(bytes(version.manifest))
        (folder / "chunks").mkdir()
        segments = json.loads(bytes(version.manifest))["segments"]
        link_files(
            version.dataset.project,
            folder,
            {found["digest"]: segment_name(found["digest"]) for found in segments},
        )
        try:
            numbers: list[int] = batch_samples(order, epoch, batch, read_manifest(folder)).tolist()
        except (DataError, *HOSTILE) as error:
            raise Refused("BATCH_NOT_FOUND", getattr(error, "message", type(error).__name__)) from None
        return numbers
