"""Loads samples through the user's ChunkDataset, in worker processes, as training will."""

import os
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np
from bench_core import FULL_TEST_VARIABLE
from blake3 import blake3

from bench_data.dataset import ChunkDataset
from bench_data.errors import LoadingTestError
from bench_data.options import usable_cpus
from bench_data.order import derive_key, permute
from bench_data.progress import progress_bar
from bench_data.source import class_source, user_error
from bench_data.worker_processes import no_interrupt, wait_for_any, worker_processes

SAMPLES = 1000
SECONDS = 60.0
STREAMED_CHUNKS = 16
"""Of a streamed dataset, so many chunks are fetched: with one sample of each, all of it would be."""

BATCH = 16
WORKERS = 2
PASSED = ".loading-test"
"""Holds the digest of what passed last, so that nothing is tested twice."""


@dataclass(frozen=True, kw_only=True)
class LoadingTest:
    """A loading test that found nothing.

    Args:
        tested: Samples loaded.
        wanted: Samples that were to be loaded; more than `tested` if the time was up.
        seconds: How long it took.
        cached: Whether the same had passed before, so nothing was loaded.
    """

    tested: int
    wanted: int
    seconds: float
    cached: bool = False


def run_loading_test(dataset: ChunkDataset, arguments: object = None) -> LoadingTest:
    """Load seeded samples, and the first and last of each chunk; all of them if `$BENCH_FULL_TEST` is 1.

    It takes 60 seconds at most, unless all are loaded.

    Args:
        dataset: The user's dataset.
        arguments: What it was made with, to know it again.

    Raises:
        LoadingTestError: A sample could not be loaded; names it, with the user's own traceback.
    """
    mark = loading_mark(dataset, arguments)
    passed = dataset.info.path / PASSED
    if passed.exists() and passed.read_text() == mark:
        return LoadingTest(tested=0, wanted=0, seconds=0.0, cached=True)
    test = load_samples(dataset)
    if test.tested == test.wanted:
        passed.write_text(mark)
    return test


def load_samples(dataset: ChunkDataset) -> LoadingTest:
    """`run_loading_test`, whether or not the same has passed before.

    Args:
        dataset: The user's dataset.

    Raises:
        LoadingTestError: A sample could not be loaded.
    """
    full = os.environ.get(FULL_TEST_VARIABLE) == "1"
    indices = list(range(len(dataset))) if full else sampled_indices(dataset)
    began = time.monotonic()
    with progress_bar(f"Loading test of {dataset.name}", len(indices), None) as advance:
        tested = 0
        for count in _load_all(dataset, indices, None if full else began + SECONDS):
            tested += count
            advance(count)
    if not tested:
        raise LoadingTestError(f"no sample of {dataset.name} was loaded within {SECONDS:.0f} seconds")
    return LoadingTest(tested=tested, wanted=len(indices), seconds=time.monotonic() - began)


def sampled_indices(dataset: ChunkDataset) -> list[int]:
    """1,000 seeded samples, and the first and last of each chunk; of a streamed dataset, of seeded chunks."""
    key = derive_key("loading-test")
    firsts, ends = dataset.chunk_starts[:-1], dataset.chunk_starts[1:]
    if dataset.remote is not None and len(firsts) > STREAMED_CHUNKS:
        some = np.sort(permute(np.arange(STREAMED_CHUNKS, dtype=np.int64), len(firsts), key))
        firsts, ends = firsts[some], ends[some]
    edges = np.concatenate([[0], np.cumsum(ends - firsts)])
    seeded = permute(np.arange(min(SAMPLES, edges[-1]), dtype=np.int64), int(edges[-1]), key)
    chunks = edges.searchsorted(seeded, "right") - 1
    inside = seeded - edges[chunks] + firsts[chunks]
    found: list[int] = np.unique(np.concatenate([inside, firsts, ends - 1])).tolist()
    return found


def _load_all(dataset: ChunkDataset, indices: Sequence[int], deadline: float | None) -> Iterator[int]:
    batches = iter([indices[at : at + BATCH] for at in range(0, len(indices), BATCH)])
    try:
        payload = cloudpickle.dumps(dataset)
    except Exception:  # an attribute that no process but this can have
        for batch in batches:
            yield _result(_load(dataset, batch))
            if deadline is not None and time.monotonic() >= deadline:
                return
        return
    with worker_processes(min(WORKERS, usable_cpus()), may_fork=False) as executor:
        yield from _load_in(executor, payload, batches, deadline)


def _load_in(
    executor: Executor, payload: bytes, batches: Iterator[Sequence[int]], deadline: float | None
) -> Iterator[int]:
    running: dict[Future[Any], Sequence[int]] = {}
    more = True
    while more or running:
        while more and len(running) < 2 * WORKERS:
            batch = next(batches, None)
            more = batch is not None
            if batch is not None:
                with no_interrupt():
                    running[executor.submit(_load_shipped, payload, batch)] = batch
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        for future in wait_for_any(running, left):
            try:
                result = future.result()
            except BrokenExecutor as error:
                raise _worker_lost(running.values(), error) from error
            del running[future]
            yield _result(result)
        if left == 0.0:
            return


def _worker_lost(batches: Iterable[Sequence[int]], error: BrokenExecutor) -> LoadingTestError:
    first, last = min(batch[0] for batch in batches), max(batch[-1] for batch in batches)
    why = str(error).splitlines()[0]
    return LoadingTestError(
        f"a worker process was killed while it loaded samples {first} to {last} ({why})",
        hint="Out of memory, or a crash in a library? Load them one by one to find the sample.",
    )


_loaded: tuple[bytes, ChunkDataset] | None = None


def _load_shipped(payload: bytes, indices: Sequence[int]) -> int | tuple[int, str]:
    global _loaded
    if _loaded is None or _loaded[0] != payload:
        try:
            _loaded = (payload, cloudpickle.loads(payload))
        except Exception as error:
            raise LoadingTestError(
                f"the dataset cannot be rebuilt in a worker process: {user_error(error)}",
                hint="A DataLoader with workers that are spawned would fail in the same way.",
            ) from error
    return _load(_loaded[1], indices)


def _load(dataset: ChunkDataset, indices: Sequence[int]) -> int | tuple[int, str]:
    """How many samples were loaded, or the one that failed and why."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*are fetched one by one")  # as they are to be here
        for index in indices:
            try:
                dataset[index]
            except (Exception, SystemExit) as error:
                return index, user_error(error)
    return len(indices)


def _result(result: int | tuple[int, str]) -> int:
    if isinstance(result, int):
        return result
    index, text = result
    raise LoadingTestError(f"sample {index} could not be loaded: {text}")


def loading_mark(dataset: ChunkDataset, arguments: object) -> str:
    """The digest of what is tested: the same one passes again.

    Args:
        dataset: The user's dataset.
        arguments: What it was made with.
    """
    full = os.environ.get(FULL_TEST_VARIABLE) == "1"
    parts = (dataset.fingerprint, class_source(type(dataset)), repr(arguments), str(full))
    return blake3("\0".join(parts).encode(errors="replace")).hexdigest()
