"""`cp -r` of a dataset."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.contenders.bench_data_chunks import write

__all__ = ["open_linked", "write"]


class Copy:
    """Copies."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch

    def push(self, folder: Path) -> int:
        subprocess.run(["cp", "-r", str(folder), str(self._scratch / "copy")], check=True)
        return 0


@contextmanager
def open_linked(scratch: Path) -> Iterator[Copy]:
    yield Copy(scratch)
