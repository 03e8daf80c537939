"""How long the `bench` command takes to answer."""

import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.contenders import Contender

RUNS = 11


def make_nothing(cache: Path, _samples: int) -> Path:
    """The command reads no data."""
    folder = cache / "nothing"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def help_time(_contender: Contender, source: Path, _out: Path) -> dict[str, float]:
    """`bench --help` from start to end, imports included: who types it waits for them."""
    command = [str(Path(sys.executable).with_name("bench")), "--help"]
    seconds = []
    for _ in range(RUNS):
        start = perf_counter()
        subprocess.run(command, cwd=source, stdout=subprocess.DEVNULL, check=True)
        seconds.append(perf_counter() - start)
    return {"milliseconds": median(seconds[1:]) * 1000}  # the first one fills the page cache
