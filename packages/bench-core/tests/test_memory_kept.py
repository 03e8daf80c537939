"""Freed memory stays with the process."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from bench_core import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
bytes(1 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    bytearray(b"x") * (1 << 20), bytearray(b"y") * (8 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    words = [sys.executable, "-c", FAULTS, how]
    return int(subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_blocks_that_are_freed_are_used_again_without_faults() -> None:
    kept, given_back = faults("kept"), faults("given back")
    assert kept < 5_000  # the blocks' own pages, once
    assert kept <= given_back
