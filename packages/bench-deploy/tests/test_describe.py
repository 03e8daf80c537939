from pathlib import Path

import pytest
from bench_deploy.bundle_plan import BundlePlan, PlannedFile, Skipped
from bench_deploy.describe import (
    describe_code,
    describe_code_shortly,
    describe_doubts,
    describe_size,
)


def plan(files: list[PlannedFile], skipped: int = 0) -> BundlePlan:
    left_out = (Skipped(f"{number:02}/", "never code") for number in range(skipped))
    return BundlePlan(Path("/p"), tuple(files), tuple(left_out))


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (1e10, "10,000.0 MB")],
)
def test_sizes(count: int, expected: str) -> None:
    assert describe_size(count) == expected


def test_lists_are_cut() -> None:
    some = plan([PlannedFile(f"{number}.py", number) for number in range(12)], skipped=12)
    lines = list(describe_code(some))
    assert lines[:3] == [
        "  sends 12 files, 66 bytes; the largest:",
        "      11 bytes  11.py",
        "      10 bytes  10.py",
    ]
    assert lines[10:13] == ["       2 bytes  2.py", "  does not send:", "    00/ (never code)"]
    assert lines[21:] == ["    09/ (never code)", "    ... and 2 more"]
    assert list(describe_code_shortly(some)) == [
        "  sends 12 files, 66 bytes",
        "  does not send 00/, 01/, 02/, 03/, 04/, 05/, 06/, 07/, 08/, 09/, ...",
    ]
    assert list(describe_code_shortly(plan([]))) == ["  sends 0 files, 0 bytes"]


def test_doubts() -> None:
    assert describe_doubts(plan([PlannedFile("a.py", 1)])) is None
    assert describe_doubts(plan([PlannedFile("a.py", 30_000_000)])) == "1 files, 30.0 MB, are much for code"
    keys = [PlannedFile(f"{number:02}.pem", 1) for number in range(11)]
    names = ", ".join(key.path for key in keys[:10])
    assert describe_doubts(plan(keys)) == f"{names} and 1 more look like secrets"
    both = plan([PlannedFile(".env", 1), PlannedFile("x", 30_000_000)])
    assert describe_doubts(both) == "2 files, 30.0 MB, are much for code; .env looks like a secret"
