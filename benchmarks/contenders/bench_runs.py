"""Runs of Bench: the images that it makes, and how they start."""

import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks import runs_scripts as scripts
from benchmarks.runs_ground import (
    Ground,
    base_image,
    bench_build,
    remove_base,
    remove_wheels,
    wheel_cache,
)


def build(source: Path, out: Path) -> float:
    """Seconds of a first build."""
    base, cache = base_image(is_cold=True), wheel_cache(is_cold=True)
    try:
        with tempfile.TemporaryDirectory(dir=out.parent) as state:
            begin = time.perf_counter()
            bench_build(source, Path(state), base, cache)
            return time.perf_counter() - begin
    finally:
        remove_base(base)
        remove_wheels(cache)


def start(ground: Ground) -> float:
    """Seconds until a script that nobody has seen has its import."""
    ground.put(scripts.IMPORT)
    begin = time.time()
    process = ground.bench("run", "--follow", "--yes", stdout=subprocess.PIPE)
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"bench run --follow: {process.returncode}")
    return float(said) - begin
