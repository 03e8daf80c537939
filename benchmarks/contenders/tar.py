"""GNU tar: writes only."""

import subprocess
from pathlib import Path

from benchmarks.contenders.processes import settle


def write(source: Path, out: Path, durable: bool) -> None:
    out.mkdir(parents=True)
    subprocess.run(["tar", "cf", str(out / "all.tar"), "-C", str(source), "."], check=True)
    settle(durable)
