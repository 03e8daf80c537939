"""Which chunk is fetched next, and what has to go for it (STREAMING.md)."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from bench_auth import AuthError
from bench_core import BenchError
from blake3 import blake3

from bench_agent.blobs import download
from bench_agent.cache import Cache
from bench_agent.demand import Dataset, Fetching, Registered, Want
from bench_agent.early import SECONDS, Early
from bench_agent.errors import AgentError, CacheError, DiskFullError
from bench_agent.lookahead import NEVER, needed_at_once
from bench_agent.patience import Patience
from bench_agent.routes import BlobFile, Route

STREAMS = 2
"""Chunks on their way at a time."""

WAIT_SECONDS = 600.0
"""A reader that waits gets an error when no byte came for so long."""

LET_GO_SECONDS = 0.25
"""Readers have so long to close a chunk before one is removed although it is open."""

LOOK_SECONDS = 0.02
"""Between two looks whether readers have let go: a lock that goes tells nobody."""

IDLE_LOOK_SECONDS = 0.25
"""The same, when nobody waits."""

DISK_SECONDS = 2.0
"""A reader whose chunk does not fit on the disk waits so long for others to let go."""

DELIVERED_SECONDS = 0.5
"""A chunk that a reader waited for stays so long at least: it has to be opened."""

PAUSE_SECONDS = 5.0
"""After a chunk that was fetched ahead could not be."""


class Streaming:
    """Fetches what readers wait for, and ahead of them what their orders use next.

    Args:
        cache: Where to.
    """

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._changed = threading.Condition()
        self._datasets: dict[str, Dataset] = {}
        self._registered: list[Registered] = []
        self._wants: list[Want] = []
        self._fetching: dict[Path, Fetching] = {}
        self._delivered: dict[Path, float] = {}
        self._paused_until = 0.0
        self._early = Early(self._changed, cache.has)
        for number in range(STREAMS):
            threading.Thread(target=self._work, name=f"fetch-{number}", daemon=True).start()

    def dataset(self, fingerprint: str) -> Dataset:
        """A dataset of the cache.

        Raises:
            DataError: It is not there, or damaged.
        """
        with self._changed:
            if fingerprint not in self._datasets:
                self._datasets[fingerprint] = Dataset(self.cache.dataset(fingerprint))
            return self._datasets[fingerprint]

    def limit(self, count: int) -> None:
        """Change how many bytes of chunks there may be."""
        with self._changed:
            self.cache.limit_bytes = count
            self._changed.notify_all()

    def register(self, registered: Registered) -> None:
        """Fetch ahead for an order.

        Raises:
            CacheError: The cache is too small for it.
        """
        used = registered.dataset.sizes[np.diff(registered.starts) > 0]
        self._check_room(needed_at_once(registered.state, used), registered.state)
        with self._changed:
            self._registered.append(registered)
            self._paused_until = 0.0
            self._changed.notify_all()

    def move(self, registered: Registered, state: dict[str, Any]) -> None:
        """Note how far an order has come."""
        with self._changed:
            registered.move(state)
            self._changed.notify_all()

    def need_first(self, registered: Registered, samples: list[int]) -> None:
        """Fetch what an order needs at its beginning before anything else.

        Args:
            registered: The order.
            samples: The numbers of its first samples in the dataset.
        """
        self._early.fetch(registered.dataset, registered.route, np.array(samples, np.int64))

    def forget(self, registered: Registered) -> None:
        """Fetch no longer for an order."""
        with self._changed:
            self._registered.remove(registered)
            if not self._registered:
                self._early.drop_all()

    def wait_for(self, want: Want, *, damaged: bool, still: Callable[[Fetching | None], None]) -> bool:
        """Return when a chunk is there.

        Args:
            want: The chunk.
            damaged: The reader found its bytes damaged.
            still: Called about ten times a second, with the fetching once it has begun; may raise.

        Returns:
            Whether it is there whole; else there is an early copy of it.

        Raises:
            BenchError: It cannot be fetched.
        """
        if damaged:
            self._drop_if_damaged(want)
        with self._changed:
            self._wants.append(want)
            self._changed.notify_all()
            try:
                while not self.cache.has(want.path) or want.path in self._fetching:
                    if want.takes_early and self._early.has(want.path):
                        return False
                    if want.error is not None:
                        raise want.error
                    self._changed.wait(0.1)
                    still(self._fetching.get(want.path))
                self._delivered[want.path] = time.monotonic()
                return True
            finally:
                self._wants.remove(want)

    def _drop_if_damaged(self, want: Want) -> None:
        try:
            with want.path.open("rb") as file:
                hasher = blake3()
                while piece := file.read(1 << 20):
                    hasher.update(piece)
        except OSError:
            hasher = blake3()  # unreadable, or gone
        if hasher.hexdigest() != want.dataset.digests[want.dataset.numbers[want.path]]:
            with self._changed:
                self.cache.remove(want.path, although_open=True)

    def present_bytes(self, dataset: Dataset) -> int:
        """Bytes of a dataset that are in the cache, or have arrived in part."""
        arriving = sum(f.received for f in list(self._fetching.values()) if f.dataset is dataset)
        return arriving + sum(self.cache.chunks.get(path, 0) for path in dataset.paths)

    def _check_room(self, needed: int, state: dict[str, Any]) -> None:
        limit = self.cache.limit_bytes
        if needed <= limit:
            return
        order = state["shuffle"] if state["shuffle"] else "sequential"
        fewer = {
            "window": f"window_chunks of less than {state.get('window_chunks')}",
            "exact": 'shuffle="window"',
        }.get(order, "smaller chunks")
        raise CacheError(
            f"the cache may hold {limit} bytes, and this {order} order uses {needed} at once",
            hint=f"Raise BENCH_CACHE_BYTES, or take {fewer}.",
        )

    # What follows runs in the threads that fetch.

    def _work(self) -> None:
        while True:
            with self._changed:
                while (job := self._next_job()) is None:
                    is_full = any(want.is_full for want in self._wants)
                    self._changed.wait(LOOK_SECONDS if is_full else IDLE_LOOK_SECONDS)
                fetching, route = job
                self._fetching[fetching.path] = fetching
            error = self._fetch(fetching, route)
            with self._changed:
                del self._fetching[fetching.path]
                if error is None:
                    self.cache.add(fetching.path)
                    self._early.drop(fetching.path)
                else:
                    self._fail(fetching, error)
                self._changed.notify_all()

    def _fail(self, fetching: Fetching, error: BenchError) -> None:
        for want in self._wants:
            if want.path == fetching.path and not fetching.was_ahead:
                want.error = error
        self._paused_until = time.monotonic() + PAUSE_SECONDS

    def _fetch(self, fetching: Fetching, route: Route) -> BenchError | None:
        def moved(count: int) -> None:
            self._early.quiet.wait(SECONDS)
            fetching.received += count
            if count > 0:
                fetching.trouble = None

        number = fetching.dataset.numbers[fetching.path]
        blob = BlobFile(fetching.dataset.digests[number], fetching.size, fetching.path)
        patience = _ReaderPatience(fetching, lambda: self._is_wanted(fetching.path))
        try:
            while True:
                try:
                    download(replace(route, patience=patience, moved=moved), blob, durable=False)
                    return None
                except DiskFullError:
                    if not self._make_room_on_disk(fetching):
                        raise
        except BenchError as error:
            return error
        except OSError as error:
            return AgentError(f"{fetching.path} cannot be written: {error.strerror}")

    def _is_wanted(self, path: Path) -> bool:
        return any(want.path == path for want in list(self._wants))

    def _next_job(self) -> tuple[Fetching, Route] | None:
        if not self._early.quiet.is_set():
            return None
        for want in self._wants:
            if want.path in self._fetching or want.error is not None or self.cache.has(want.path):
                continue
            size = self._size(want.dataset, want.path)
            if size > self.cache.limit_bytes:
                want.error = CacheError(
                    f"the cache may hold {self.cache.limit_bytes} bytes, and a chunk has {size}",
                    hint="Raise BENCH_CACHE_BYTES.",
                )
                self._changed.notify_all()
            elif self._make_room_for_reader(size, want):
                return Fetching(want.dataset, want.path, size), want.route
        return None if time.monotonic() < self._paused_until else self._next_ahead()

    def _next_ahead(self) -> tuple[Fetching, Route] | None:
        found = self._first_missing()
        if found is None:
            return None
        use, registered, number = found
        path, size = registered.dataset.paths[number], int(registered.dataset.sizes[number])
        if not self._make_room_ahead(size, use):
            return None
        return Fetching(registered.dataset, path, size), registered.route

    def _first_missing(self) -> tuple[float, Registered, int] | None:
        """The chunk that an order uses next of all that are not there: its use, the order, its number."""
        found = []
        for registered in self._registered:
            dataset = registered.dataset
            missing = [
                number
                for number, path in enumerate(dataset.paths)
                if path not in self.cache.chunks and path not in self._fetching
            ]
            if missing:
                uses = registered.uses()[missing]
                at = int(uses.argmin())
                if uses[at] < NEVER:
                    found.append((float(uses[at]), registered, missing[at]))
        return min(found, key=lambda entry: entry[0], default=None)

    def _size(self, dataset: Dataset, path: Path) -> int:
        return int(dataset.sizes[dataset.numbers[path]])

    def _over(self, size: int) -> int:
        """By how many bytes a chunk would be too much now."""
        arriving = sum(fetching.size for fetching in self._fetching.values())
        return self.cache.used_bytes + arriving + size - self.cache.limit_bytes

    def _make_room_ahead(self, size: int, use: float) -> bool:
        if self._over(size) <= 0:
            return True
        for path, its_use in self._victims():
            if its_use <= use:
                return False
            self.cache.remove(path)
            if self._over(size) <= 0:
                return True
        return False

    def _make_room_for_reader(self, size: int, want: Want) -> bool:
        if self._over(size) <= 0:
            return True
        victims = self._victims()
        for path, _ in victims:
            if self.cache.remove(path) and self._over(size) <= 0:
                return True
        self._say_full(want)
        if time.monotonic() < want.since + LET_GO_SECONDS:
            return False
        for path, _ in victims:
            self.cache.remove(path, although_open=True)
            if self._over(size) <= 0:
                return True
        return False

    def _say_full(self, want: Want) -> None:
        """Let the reader close what it can."""
        if not want.is_full:
            want.is_full = True
            self._changed.notify_all()

    def _make_room_on_disk(self, fetching: Fetching) -> bool:
        """Remove a chunk for a reader whose own does not fit on the disk; whether one has gone."""
        deadline = time.monotonic() + DISK_SECONDS
        while True:
            with self._changed:
                wants = [want for want in self._wants if want.path == fetching.path]
                fetching.was_ahead = not wants
                if any(self.cache.remove(victim) for victim, _ in self._victims() if wants):
                    return True
                for want in wants:
                    self._say_full(want)
            if not wants or time.monotonic() > deadline:
                return False
            time.sleep(LOOK_SECONDS)

    def _victims(self) -> list[tuple[Path, float]]:
        """What may be removed, with its next use: the farthest first, of those without one the oldest."""
        uses: dict[Path, float] = {}
        for registered in self._registered:
            for path, use in zip(registered.dataset.paths, registered.uses().tolist(), strict=True):
                uses[path] = min(use, uses.get(path, NEVER))
        now = time.monotonic()
        self._delivered = {p: at for p, at in self._delivered.items() if now < at + DELIVERED_SECONDS}
        wanted = {want.path for want in self._wants}
        kept = self._delivered.keys() | wanted
        found = [(path, uses.get(path, NEVER)) for path in self.cache.chunks if path not in kept]
        return sorted(found, key=lambda entry: -entry[1])


class _ReaderPatience(Patience):
    """Waits as long as a reader does; what is fetched ahead fails at once.

    Args:
        fetching: Told what the trouble is.
        wanted: Whether a reader waits for it.
    """

    def __init__(self, fetching: Fetching, wanted: Callable[[], bool]) -> None:
        super().__init__(WAIT_SECONDS)
        self._fetching, self._wanted = fetching, wanted

    def wait(self, error: AuthError) -> None:
        """Wait before the next attempt."""
        self._fetching.trouble = error.message
        self._fetching.was_ahead = not self._wanted()
        if self._fetching.was_ahead:
            raise error
        super().wait(error)
