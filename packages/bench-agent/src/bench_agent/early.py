"""What a reader needs first, by ranges: its first batch does not wait for whole chunks (STREAMING.md)."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
from bench_data.chunk_ranges import ChunkRanges
from bench_data.errors import FormatError
from bench_data.order import Indices
from bench_data.remote import early_copy
from bench_data.zip_reader import ZipRanges
from bench_protos.data.v1 import datasets_pb2 as pb

from bench_agent.demand import Dataset
from bench_agent.routes import Route

STREAMS = 4
"""Ranges on their way at a time."""

FEW = 8
"""A chunk of which more than one sample in so many is needed first is fetched whole at once."""

TAIL_BYTES = 128 << 10
"""Asked for first: the columns of a chunk of a thousand samples, and all that follows them."""

GAP_BYTES = 512 << 10
"""Two ranges that are no farther apart are fetched as one: a call costs as much time as so many bytes."""

SECONDS = 10.0
"""Whole chunks wait no longer for what is needed first."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What is needed of a chunk.

    Args:
        path: Where the whole chunk will be.
        digest: Its BLAKE3, hex.
        size: Its bytes.
        samples: The numbers of the samples in it, ascending.
    """

    path: Path
    digest: str
    size: int
    samples: list[int]


class Early:
    """Fetches early copies: sparse files beside the chunks, with the columns and the files of some samples.

    Args:
        changed: Guards what is known of the copies, and is notified when that changes.
        is_present: Whether a whole chunk is in the cache.
    """

    def __init__(self, changed: threading.Condition, is_present: Callable[[Path], bool]) -> None:
        self._changed, self._is_present = changed, is_present
        self._expected: Counter[Path] = Counter()
        self._copies: set[Path] = set()
        self.quiet = threading.Event()
        """Set while nothing is fetched here; whole chunks wait for it."""
        self.quiet.set()

    def fetch(self, dataset: Dataset, route: Route, samples: Indices) -> None:
        """Begin to fetch what is needed of samples whose chunks are not there.

        Args:
            dataset: Theirs.
            route: To the server; one on this machine gives whole chunks as fast.
            samples: Their numbers.
        """
        if route.folder is not None:
            return
        with self._changed:
            parts = [part for part in parts_of(dataset, samples) if not self._is_present(part.path)]
            if not parts:
                return
            self._expected.update(part.path for part in parts)
            self.quiet.clear()
        threading.Thread(target=self._fetch_all, args=(parts, route), daemon=True).start()

    def has(self, path: Path) -> bool:
        """Whether there is a copy of a chunk with all that was asked for. The lock is held."""
        return path in self._copies and path not in self._expected

    def drop(self, path: Path) -> None:
        """Remove the copy of a chunk. The lock is held."""
        if path in self._copies:
            self._copies.remove(path)
            early_copy(path).unlink(missing_ok=True)

    def drop_all(self) -> None:
        """Remove all copies. The lock is held."""
        for path in list(self._copies):
            self.drop(path)

    def _fetch_all(self, parts: list[Part], route: Route) -> None:
        deadline = time.monotonic() + SECONDS
        with ThreadPoolExecutor(STREAMS) as threads:
            for part in parts:
                threads.submit(self._fetch_part, part, route, deadline)

    def _fetch_part(self, part: Part, route: Route, deadline: float) -> None:
        try:
            copy_part(part, route, deadline)
        except (grpc.RpcError, FormatError, OSError):
            pass  # the reader waits for the whole chunk, and hears of what stands in the way
        finally:
            with self._changed:
                self._copies.add(part.path)
                self._expected[part.path] -= 1
                self._expected = +self._expected
                if self._is_present(part.path):
                    self.drop(part.path)
                if not self._expected:
                    self.quiet.set()
                self._changed.notify_all()


def parts_of(dataset: Dataset, samples: Indices) -> Iterator[Part]:
    """The chunks of some samples, but those of which much is needed.

    Args:
        dataset: Theirs.
        samples: Their numbers.
    """
    ordered = np.unique(samples)
    chunks = dataset.starts.searchsorted(ordered, "right") - 1
    for number in np.unique(chunks).tolist():
        start, end = dataset.starts[number : number + 2].tolist()
        inside = (ordered[chunks == number] - start).tolist()
        if len(inside) * FEW <= end - start:
            yield Part(
                path=dataset.paths[number],
                digest=dataset.digests[number],
                size=int(dataset.sizes[number]),
                samples=inside,
            )


def copy_part(part: Part, route: Route, deadline: float) -> None:
    """Fetch what is needed of a chunk into its early copy.

    Args:
        part: What.
        route: Where from.
        deadline: When to give up, of the monotonic clock.

    Raises:
        grpc.RpcError: The server is away, refuses, or is too slow.
        FormatError: What arrives is no chunk.
        OSError: The copy cannot be written.
    """
    descriptor = os.open(early_copy(part.path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        os.truncate(descriptor, part.size)
        remote = _RemoteChunk(part, route, descriptor, deadline)
        chunk = ChunkRanges(remote)
        remote.fetch_columns()
        for start, end in joined(_places(chunk, part.samples)):
            remote.fetch(start, end)
    finally:
        os.close(descriptor)


def _places(chunk: ChunkRanges, samples: list[int]) -> Iterator[tuple[int, int]]:
    """Where the files of each sample lie, with the local headers before them."""
    for sample in samples:
        files = chunk.file_numbers(sample)
        if files:
            yield _end(chunk, files.start - 1), _end(chunk, files.stop - 1)


def _end(chunk: ChunkRanges, file: int) -> int:
    """Where a file's data ends; 0 before the first."""
    return sum(chunk.file_member(file)[:2]) if file >= 0 else 0


def joined(places: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending ranges, those that are close together as one."""
    found: list[tuple[int, int]] = []
    for start, end in places:
        if found and start - found[-1][1] <= GAP_BYTES:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


class _RemoteChunk(ZipRanges):
    """A chunk on a server. What is read of it is kept in a copy, which is read backwards from its end."""

    def __init__(self, part: Part, route: Route, descriptor: int, deadline: float) -> None:
        self._part, self._route = part, route
        self._descriptor, self._deadline = descriptor, deadline
        self._fetched_from = part.size
        super().__init__(part.path, part.size, "chunk.json")

    def pread(self, offset: int, length: int) -> bytes:
        """See ZipRanges."""
        if offset < self._fetched_from:
            start = min(offset, max(0, self._part.size - TAIL_BYTES))
            self.fetch(start, self._fetched_from)
            self._fetched_from = start
        return os.pread(self._descriptor, length, offset)

    def fetch_columns(self) -> None:
        """Fetch all columns.

        Raises:
            FormatError: They are much of the chunk, which is better fetched whole.
        """
        first = min((place[0] for place in self.header["columns"].values()), default=self._part.size)
        if self._part.size - first > max(TAIL_BYTES, self._part.size // FEW):
            raise FormatError(f"{self.path}: its columns are much of it")
        self.pread(first, 0)

    def fetch(self, start: int, end: int) -> None:
        """Fetch a range."""
        request = pb.DownloadBlobRequest(
            project_id=self._route.project_id, digest=self._part.digest, offset=start, length=end - start
        )
        left = max(0.0, self._deadline - time.monotonic())
        for message in self._route.stub.DownloadBlob(request, timeout=left):
            data = message.data
            os.pwrite(self._descriptor, data, start)
            start += len(data)
