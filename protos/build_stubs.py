"""Makes the Python stubs from the .proto files; nothing of them is committed.

hatchling calls it when the distribution is built, also for an editable installation; `./run stubs` after a
change.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface[Any]):
    """Called by hatchling before it packs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build_stubs()


def build_stubs() -> None:
    here = Path(__file__).parent / "src"
    protos = sorted(str(path.relative_to(here)) for path in here.rglob("*.proto"))
    plugins = [f"--plugin={name}={_plugin(name)}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    outputs = ["--python_out=.", "--grpc_python_out=.", "--mypy_out=quiet:.", "--mypy_grpc_out=quiet:."]
    command = [sys.executable, "-m", "grpc_tools.protoc", "--proto_path=.", *plugins, *outputs, *protos]
    subprocess.run(command, cwd=here, check=True)


def _plugin(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed where the stubs are built")
    return found


if __name__ == "__main__":
    build_stubs()
