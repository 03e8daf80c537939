"""The works with tracks, each in a process of its own. Pairs take turns, each first as often as last."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch

from benchmarks import data
from benchmarks.servers import bench_server
from benchmarks.track_ground import PEAK, Dashboard, open_run, send_spool

NAMES = ("train/loss", "train/accuracy", "train/lr", "train/gradient_norm", "train/samples_per_second")
CALLS_PER_SECOND = 200
WARM_CALLS = 100
TIGHT_CALLS = 500
BLOCK_PAIRS = 40
BLOCK_IMAGES = 1600
CHARTS, WIDTH = 30, 1000
CHECKPOINT_PAIRS = 4
TENSOR_MEGABYTES = 10

Figures = dict[str, float]


def log_calls(contender: Any, source: Path, out: Path) -> Figures:
    """How long a call takes a training that computes between two of them, and one that does nothing else."""
    paced = range(WARM_CALLS + data.read_count(source))
    tight = range(len(paced), len(paced) + TIGHT_CALLS)
    with _scratch(out) as scratch, contender.open_log(scratch) as logged:
        seconds = _calls(logged.log, paced, per_second=CALLS_PER_SECOND)[WARM_CALLS:]
        tight_seconds = _calls(logged.log, tight)
        stored = logged.stored()
    if stored != tight.stop * len(NAMES):
        raise RuntimeError(f"{stored:,} of {tight.stop * len(NAMES):,} values came")
    return {
        "median_microseconds": median(seconds) * 1e6,
        "late_microseconds": float(np.percentile(seconds, 99.9)) * 1e6,
        "tight_microseconds": median(tight_seconds) * 1e6,
    }


def ingest(_contender: Any, source: Path, out: Path) -> Figures:
    """A spool to a server, from the start of the agent until the server has all of it."""
    with _scratch(out) as scratch, bench_server(scratch, links=True) as server:
        _, seconds = send_spool(source, scratch, server)
    return {"points_per_second": data.read_count(source) / seconds}


def logged_steps(_contender: Any, source: Path, out: Path) -> Figures:
    """Blocks of steps in one process that log and that do not, in turn."""
    training = _Training(images=data.read_count(source))
    steps = BLOCK_IMAGES // data.read_count(source)
    with _scratch(out) as scratch, open_run(scratch) as tracked:

        def block(log: Callable[[Mapping[str, float], int], None]) -> float:
            start = perf_counter()
            for _ in range(steps):
                log(training.step(), training.steps)
            return (perf_counter() - start) / steps * 1000

        block(tracked.run.log)  # the first steps of a process are slower
        ours, other = _in_turn(lambda: block(tracked.run.log), lambda: block(_nothing), BLOCK_PAIRS)
    more = median((own / bare - 1) * 100 for own, bare in zip(ours, other, strict=True))
    return {
        "without_logging.milliseconds": median(other),
        "bench_track_run.milliseconds": median(ours),
        "bench_track_run.more_percent": more,
    }


def draw(_contender: Any, source: Path, out: Path) -> Figures:
    """A chart of many points, over HTTP as a page asks for it; the one peak has to be in it."""
    points = data.read_count(source)
    with _scratch(out) as scratch, bench_server(scratch, links=True) as server:
        run_id, _ = send_spool(source, scratch, server)
        dashboard = Dashboard(server)

        def chart(first: int, last: int) -> float:
            asked: dict[str, str | int] = {"series": "train/0", "width": WIDTH, "from": first, "to": last}
            found, seconds = dashboard.chart(run_id, asked)
            (line,) = found["lines"]
            if (max(line["max"]) == PEAK) != (first <= points // 2 <= last):
                raise RuntimeError(f"the chart of {first:,} to {last:,} is not what was logged")
            return seconds * 1000

        whole = [chart(0, points - 1) for _ in range(1 + CHARTS)]
        zoomed = [chart(first, last) for first, last in _ranges(points)]
    return {
        "first_milliseconds": whole[0],
        "median_milliseconds": median(whole[1:]),
        "zoom_milliseconds": median(zoomed),
    }


def checkpoint_stall(_contender: Any, source: Path, out: Path) -> Figures:
    """What a step takes longer that begins with a checkpoint, or with a copy of the same tensors."""
    training = _Training()
    count = max(1, data.read_count(source) // TENSOR_MEGABYTES)
    state = {f"layer{number}": torch.rand(TENSOR_MEGABYTES * 250_000) for number in range(count)}
    with _scratch(out) as scratch, open_run(scratch) as tracked:
        run = tracked.run
        usual = median(_seconds(training.step) for _ in range(50))

        def stall(work: Callable[[], object]) -> float:
            os.sync()
            kept: list[object] = []  # what is copied goes behind the step, as a checkpoint's copy does
            start = perf_counter()
            kept.append(work())
            training.step()
            return (perf_counter() - start - usual) * 1000

        def checkpoint() -> float:
            step = training.steps
            found = stall(lambda: run.checkpoint(state, step=step))
            while not (run.checkpoint_root / f"step-{step:09}").exists():
                time.sleep(0.05)
            return found

        def copy() -> float:
            return stall(lambda: [tensor.clone() for tensor in state.values()])

        first = checkpoint()
        ours, other = _in_turn(checkpoint, copy, CHECKPOINT_PAIRS)
    more = median(own - bare for own, bare in zip(ours, other, strict=True))
    return {
        "bare_copy.milliseconds": median(other),
        "bench_track_run.milliseconds": median(ours),
        "bench_track_run.more_milliseconds": more,
        "bench_track_run.first_milliseconds": first,
    }


class _Training:
    """A small network for images, on one core."""

    def __init__(self, *, images: int = 16) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(data.SEED)
        self._model = torch.nn.Sequential(
            torch.nn.Conv2d(3, 32, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(32, 10),
        )
        self._optimizer = torch.optim.SGD(self._model.parameters(), lr=0.01)
        self._batch = torch.randn(images, 3, 32, 32), torch.randint(10, (images,))
        self.steps = 0

    def step(self) -> dict[str, float]:
        """One step; what there is to log of it."""
        images, classes = self._batch
        loss = torch.nn.functional.cross_entropy(self._model(images), classes)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self.steps += 1
        return dict.fromkeys(NAMES, loss.item())


def _calls(
    log: Callable[[Mapping[str, float], int], object], steps: range, *, per_second: float = np.inf
) -> list[float]:
    """The seconds of each call, at most so many a second, with something to compute between them."""
    torch.set_num_threads(1)
    matrix = torch.rand(64, 64)
    seconds: list[float] = []
    due = perf_counter()
    for step in steps:
        values = {name: step + place / 8 for place, name in enumerate(NAMES)}
        while perf_counter() < due:
            torch.mm(matrix, matrix)
        start = perf_counter()
        log(values, step)
        end = perf_counter()
        seconds.append(end - start)
        due = max(due + 1 / per_second, end)
    return seconds


def _ranges(points: int) -> list[tuple[int, int]]:
    """Ranges of all lengths, from a screen's width to the whole."""
    random = np.random.default_rng(data.SEED)
    lengths = np.geomspace(min(WIDTH, points), points, CHARTS).astype(int).tolist()
    firsts = [int(random.integers(0, points - length + 1)) for length in lengths]
    return [(first, first + length - 1) for first, length in zip(firsts, lengths, strict=True)]


def _in_turn(
    ours: Callable[[], float], other: Callable[[], float], pairs: int
) -> tuple[list[float], list[float]]:
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(pairs):
        for which in (0, 1) if number % 2 else (1, 0):
            found[which].append((ours, other)[which]())
    return found


def _nothing(values: Mapping[str, float], step: int) -> None:
    pass


def _seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A folder on the measured disk with a path short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="t", dir=out.parent) as folder:
        yield Path(folder)
