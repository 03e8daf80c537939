"""The works with runs, each in a process of its own. Pairs take turns, each first as often as last."""

import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from blake3 import blake3

from benchmarks import runs_scripts as scripts
from benchmarks.contenders import bare_docker, bench_runs
from benchmarks.runs_ground import Ground, image_of, make_ground, open_ground

PAIRS = 4
LINES = 400
STEPS = 50
READ_BYTES = 1 << 20

Figures = dict[str, float]
Timed = Callable[[], float]


def first_build(_contender: Any, source: Path, out: Path) -> Figures:
    """An image from nothing: no layer, no lock, no download is there, but torch's wheel in the base image."""
    ours, bare = _in_turn(lambda: bench_runs.build(source, out), lambda: bare_docker.build(source), pairs=1)
    more = median(own / other for own, other in zip(ours, bare, strict=True))
    return {**_pair("seconds", ours, "bare_docker", bare), "bench_runs.more_percent": (more - 1) * 100}


def start(_contender: Any, source: Path, out: Path) -> Figures:
    """Until a script has imported torch, of which the image is there and the code is new."""
    with open_ground(source, out) as ground:
        ours, bare = _in_turn(
            lambda: bench_runs.start(ground), lambda: bare_docker.start(image_of(source), ground.folder)
        )
    more = median(own - other for own, other in zip(ours, bare, strict=True))
    return {**_pair("seconds", ours, "bare_docker", bare), "bench_runs.more_seconds": more}


def lines(_contender: Any, source: Path, out: Path) -> Figures:
    """How old a line is at the other end of a terminal; from the first line on."""
    with open_ground(source, out) as ground:
        ages = _ages(ground)
    if len(ages) != LINES:
        raise RuntimeError(f"{len(ages)} of {LINES} lines came")
    return {
        "median_milliseconds": median(ages) * 1000,
        "late_milliseconds": float(np.percentile(ages, 99)) * 1000,
        "first_milliseconds": ages[0] * 1000,
    }


def flood(_contender: Any, source: Path, out: Path) -> Figures:
    """More than anybody reads, followed through a pipe; every byte is compared."""
    with open_ground(source, out) as ground:
        ground.put(scripts.FLOOD)
        process = ground.bench("run", "--follow", "--yes", stdout=subprocess.PIPE)
        assert process.stdout is not None
        seen, size, end, last = blake3(), 0, 0.0, b""
        while data := os.read(process.stdout.fileno(), READ_BYTES):
            end = time.time()
            seen.update(data)
            size, last = size + len(data), (last + data)[-scripts.FLOOD_LINE_BYTES :]
        if process.wait():
            raise RuntimeError("bench run --follow failed")
        began = last.split()[-1]
        stored = max((ground.server.data / "logs").glob("*/1"), key=lambda path: path.stat().st_mtime_ns)
        wanted = _flood_digest(began)
        if {wanted, seen.hexdigest(), blake3(stored.read_bytes()).hexdigest()} != {wanted}:
            raise RuntimeError("the log is not what was written")
        megabytes, start = size / 1e6, float(began)
        written = stored.stat().st_mtime  # the last time that anything was added
        return {"stored": megabytes / (written - start), "followed": megabytes / (end - start)}


def steps(_contender: Any, source: Path, out: Path) -> Figures:
    """The median step of a small network, in a run and by hand, of the same installed packages."""
    script = scripts.STEPS.format(steps=STEPS)
    with open_ground(source, out) as ground:

        def by_hand() -> float:
            path = ground.folder / "TrainScript.py"
            words = [sys.executable, "-S", str(path)]  # without this environment's own packages
            environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(source / "site-packages")}
            said = subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout
            return float(said.split()[-1]) * 1000

        def in_run() -> float:
            return float(ground.run(script).split()[-1]) * 1000

        ground.put(script)
        ours, bare = _in_turn(in_run, by_hand)
    more = (median(ours) / median(bare) - 1) * 100
    return {**_pair("milliseconds", ours, "by_hand", bare), "bench_runs.more_percent": more}


def make_ground_by_hand(cache: Path, samples: int) -> Path:
    """The same, with the packages of the image's training in `site-packages`.

    Raises:
        RuntimeError: The image has another python than this process.
    """
    folder = make_ground(cache, samples)
    if not (folder / "site-packages").exists():
        bare_docker.copy_packages(image_of(folder), folder / "site-packages")
    return folder


def _in_turn(ours: Timed, other: Timed, pairs: int = PAIRS) -> tuple[list[float], list[float]]:
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(pairs):
        for which in (0, 1) if number % 2 else (1, 0):
            found[which].append((ours, other)[which]())
    return found


def _pair(figure: str, ours: list[float], name: str, other: list[float]) -> Figures:
    return {f"{name}.{figure}": median(other), f"bench_runs.{figure}": median(ours)}


def _ages(ground: Ground) -> list[float]:
    ground.put(scripts.TALK.format(lines=LINES))
    terminal, its_end = pty.openpty()
    process = ground.bench("run", "--follow", "--yes", stdout=its_end, stderr=subprocess.DEVNULL)
    os.close(its_end)
    ages: list[float] = []
    rest = b""
    while data := _read(terminal):
        now = time.time()
        *whole, rest = (rest + data).split(b"\n")
        ages += [now - float(line) for line in whole]
    os.close(terminal)
    process.wait()
    return ages


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, READ_BYTES)
    except OSError:  # nobody has its other end any more
        return b""


def _flood_digest(began: bytes) -> str:
    hasher = blake3()
    for first in range(0, scripts.FLOOD_LINES, scripts.FLOOD_BLOCK_LINES):
        hasher.update(scripts.flood_block(first))
    hasher.update(began + b"\n")
    digest: str = hasher.hexdigest()
    return digest
