"""The works, each as it runs in a fresh process: what is timed, and the figures that come of it.

Imports are never timed, nor is bringing what is read into the page cache. Everything else that a contender
does is: opening and closing, starting worker processes, merging indexes.
"""

import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from benchmarks import data, network_works, runs_works, track_works
from benchmarks.command_line import help_time
from benchmarks.contenders import BATCH, Contender

FETCH_ROUNDS = 3
"""Timed passes over all samples, after one that is not."""
STACK_ROWS = 1024

Figures = dict[str, float]
Work = Callable[[Contender, Path, Path], Figures]


def write(contender: Contender, source: Path, out: Path) -> Figures:
    return _write_files(contender, source, out, durable=False)


def write_durable(contender: Contender, source: Path, out: Path) -> Figures:
    return _write_files(contender, source, out, durable=True)


def read(contender: Contender, source: Path, out: Path) -> Figures:
    return _read_epoch(contender, source, out, through_path=False)


def read_path(contender: Contender, source: Path, out: Path) -> Figures:
    return _read_epoch(contender, source, out, through_path=True)


def fetch(contender: Contender, source: Path, out: Path) -> Figures:
    """Random batches in this process, page cache and dataset warm."""
    order = np.random.default_rng(data.SEED).permutation(len(data.samples(source))).tolist()
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    fetch_batch = contender.fetcher(out)
    for batch in batches:
        fetch_batch(batch)
    start = perf_counter()
    for _ in range(FETCH_ROUNDS):
        for batch in batches:
            fetch_batch(batch)
    return {"microseconds": (perf_counter() - start) / (FETCH_ROUNDS * len(order)) * 1e6}


def label_write(contender: Contender, source: Path, out: Path) -> Figures:
    data.warm(source)
    os.sync()
    start = perf_counter()
    contender.label_write(source, out)
    seconds = perf_counter() - start
    return {"per_second": _row_count(source) / seconds}


def label_stack(contender: Any, source: Path, out: Path) -> Figures:
    dataset = contender.open_dataset(out)
    count = len(dataset)
    random = np.random.default_rng(data.SEED).permutation(count)
    return {
        "random_per_second": _stack_all(dataset, random),
        "sequential_per_second": _stack_all(dataset, np.arange(count)),
    }


def counter_write(contender: Any, source: Path, out: Path) -> Figures:
    contender.counter_write(source, out)
    return {}


def first_batch(contender: Any, source: Path, out: Path) -> Figures:
    before = _memory("VmRSS")
    start = perf_counter()
    contender.first_batch(out)
    seconds = perf_counter() - start
    return {"seconds": seconds, "megabytes": (_memory("VmHWM") - before) / 1e6}


WORKS: dict[str, Work] = {
    work.__name__: work
    for work in (
        write,
        write_durable,
        read,
        read_path,
        fetch,
        label_write,
        label_stack,
        counter_write,
        first_batch,
        help_time,
        network_works.upload,
        network_works.download,
        network_works.push_linked,
        network_works.push_again,
        network_works.calls,
        network_works.crowd,
        network_works.stream,
        network_works.stream_shares,
        network_works.stream_first_batch,
        runs_works.first_build,
        runs_works.start,
        runs_works.lines,
        runs_works.flood,
        runs_works.steps,
        track_works.log_calls,
        track_works.ingest,
        track_works.logged_steps,
        track_works.draw,
        track_works.checkpoint_stall,
    )
}


def _write_files(contender: Contender, source: Path, out: Path, durable: bool) -> Figures:
    data.warm(source)
    os.sync()  # what others left unwritten is not this contender's burden
    start = perf_counter()
    contender.write(source, out, durable)
    seconds = perf_counter() - start
    payload = data.size_below(source)
    return {
        "megabytes_per_second": payload / seconds / 1e6,
        "per_second": len(data.samples(source)) / seconds,
        "overhead_percent": (data.size_below(out) / payload - 1) * 100,
    }


def _read_epoch(contender: Contender, source: Path, out: Path, through_path: bool) -> Figures:
    data.warm(out if out.exists() else source)
    count = labels_sum = touched_sum = 0
    start = perf_counter()
    for labels, touched in contender.epoch(source, out, through_path):
        count += len(labels)
        labels_sum += int(torch.as_tensor(labels).sum())
        touched_sum += int(torch.as_tensor(touched).sum())
    seconds = perf_counter() - start
    # The sums go along so that the run can see that everyone read the same bytes.
    return {"per_second": count / seconds, "check": float(count + labels_sum + touched_sum)}


def _stack_all(dataset: Any, order: "np.ndarray[Any, Any]") -> float:
    batches = [order[start : start + STACK_ROWS] for start in range(0, len(order), STACK_ROWS)]
    for batch in batches[:10]:
        dataset.stacked(batch)
    start = perf_counter()
    for batch in batches:
        dataset.stacked(batch)
    return len(order) / (perf_counter() - start)


def _row_count(source: Path) -> int:
    return len(np.load(source / "y.npy", mmap_mode="r"))


def _memory(field: str) -> int:
    """A field of /proc/self/status, in bytes; `ru_maxrss` would count what the parent had before the exec."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))
