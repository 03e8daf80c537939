"""One measurement in a process of its own: `python -m benchmarks.child WORK CONTENDER SOURCE OUT RESULT`."""

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks import contenders, works

LIMIT_SECONDS = 1800


class MeasurementError(Exception):
    """A contender failed at its work."""


def measure(work: str, contender: str, source: Path, out: Path, scratch: Path) -> works.Figures:
    """Start the process and wait for its figures.

    Raises:
        MeasurementError: The process failed; the message has the end of what it said.
    """
    result, said = scratch / "figures.json", scratch / "said.txt"
    command = [sys.executable, "-m", "benchmarks.child", work, contender, str(source), str(out), str(result)]
    with said.open("wb") as sink:
        ended = subprocess.run(
            command, stdout=sink, stderr=sink, timeout=LIMIT_SECONDS, env=_environment(scratch)
        )
    if ended.returncode:
        end_of_said = said.read_text(errors="replace")[-3000:]
        raise MeasurementError(f"{contender} failed at {work} (exit code {ended.returncode}):\n{end_of_said}")
    figures: works.Figures = json.loads(result.read_text())
    return figures


def _environment(scratch: Path) -> dict[str, str]:
    """LitData's caches on the measured disk; compiled modules kept, or each process compiles them."""
    caches = {
        "DATA_OPTIMIZER_CACHE_FOLDER": str(scratch / "litdata" / "chunks"),
        "DATA_OPTIMIZER_DATA_CACHE_FOLDER": str(scratch / "litdata" / "data"),
    }
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **caches}


def main(work: str, contender: str, source: str, out: str, result: str) -> None:
    figures = works.WORKS[work](contenders.load(contender), Path(source), Path(out))
    Path(result).write_text(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
