"""What is made when bench-kit is built: what its packages make when each is built alone."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent


class CustomBuildHook(BuildHookInterface[Any]):
    """Called by hatchling before it packs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        _load("protos/build_stubs.py").build_stubs()
        _load("packages/bench-server/build_assets.py").build_assets()

    def dependencies(self) -> list[str]:
        needed: list[str] = _load("packages/bench-server/build_assets.py").needed()
        return needed


def _load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
