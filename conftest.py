"""Tests with a real part that may be missing here: `@pytest.mark.needs("node", "npm")` names its programs.

Where one is missing ("dockerd": where none answers; "root": where the user is another) they are left
out, with a line that says so; with BENCH_TEST_REAL=1, as in CI, they run and fail.
"""

import os
import shutil
import subprocess
from functools import cache

import pytest

_missing: set[str] = set()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*programs): left out where a program is missing")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("BENCH_TEST_REAL") == "1":
        return
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        named = {name for mark in item.iter_markers("needs") for name in mark.args}
        missing = {name for name in named if not _is_there(name)}
        _missing.update(missing)
        (left_out if missing else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


@cache
def _is_there(program: str) -> bool:
    if program == "root":
        return os.geteuid() == 0
    if program == "dockerd":
        return shutil.which("docker") is not None and _answers("docker", "version")
    return shutil.which(program) is not None


def _answers(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _missing:
        terminalreporter.write_line(f"left out: tests that need {', '.join(sorted(_missing))}")
