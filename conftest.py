"""Tests with a real part that may be missing here: `@pytest.mark.needs("node", "npm")` names its programs.

Where one is missing ("dockerd": where none answers; "root": where the user is another) they are left
out, with a line that says so; with BENCH_TEST_REAL=1, as in CI, they run and fail.

With several workers (`./run test -n 3`) the tests of a file stay together, since they share servers that are
slow to start, and all files with tests of Docker run on one worker, since they share its engine.
"""

import os
import shutil
import subprocess
import tempfile
from functools import cache, partial
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

_missing: set[str] = set()

hypothesis.settings.register_profile("bench", deadline=None)  # a busy machine is no fault
hypothesis.settings.load_profile("bench")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*programs): left out where a program is missing")
    if getattr(config.option, "numprocesses", None) and config.option.basetemp is None:
        # Workers have a folder each below the usual one: too long for the paths of sockets.
        config.option.basetemp = tempfile.mkdtemp(prefix="b")
        config.add_cleanup(partial(shutil.rmtree, config.option.basetemp, ignore_errors=True))


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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    return _ByFile(config, log)


class _ByFile(LoadFileScheduling):  # type: ignore[misc]
    """Gives whole files to the workers of pytest-xdist, and those of Docker to one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "dockerd" if _names_dockerd(self.config.rootpath / file) else file


@cache
def _names_dockerd(file: Path) -> bool:
    return '"dockerd"' in file.read_text("utf-8")  # the marks are known to the workers only


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["missing"] = sorted(_missing)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has ended: only it knows what it left out."""
    _missing.update(getattr(node, "workeroutput", {}).get("missing", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _missing:
        terminalreporter.write_line(f"left out: tests that need {', '.join(sorted(_missing))}")
