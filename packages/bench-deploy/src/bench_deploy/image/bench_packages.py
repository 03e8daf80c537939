"""Bench's own packages in an image: made from those installed here, so they need not be published."""

import hashlib
import io
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from bench_deploy.errors import ImageError

# An installation of bench-kit knows no single package (docs/decisions/0001-distributions.md), so what they
# require is repeated here; tests/test_distributions.py compares it with their pyproject.toml.
VERSION = "0.1.0+bench"
REQUIRES: dict[str, tuple[str, ...]] = {
    "bench-agent": (
        "bench-auth",
        "bench-core",
        "bench-data",
        "bench-protos",
        "bench-track",
        "blake3>=1.0",
        "grpcio>=1.80",
        "numpy>=1.26",
        "nvidia-ml-py>=12",
        "psutil>=6",
    ),
    "bench-auth": (
        "bench-core",
        "bench-protos",
        "cryptography>=43",
        "filelock>=3.12",
        "googleapis-common-protos>=1.66",
        "grpcio-status>=1.80",
        "grpcio>=1.80",
        "platformdirs>=4",
        "pyopenssl>=24.3",
    ),
    "bench-core": ("tomli>=2; python_version < '3.11'",),
    "bench-data": (
        "bench-core",
        "blake3>=1.0",
        "cloudpickle>=3",
        "filelock>=3.12",
        "isal>=1.7",
        "loky>=3.5",
        "numpy>=1.26",
        "platformdirs>=4",
        "rich>=13",
    ),
    "bench-protos": ("grpcio>=1.80", "protobuf>=6.31.1"),
    "bench-track": ("bench-core",),
}

OF_TRAINING = ("bench-core", "bench-data", "bench-track")
"""In the user's environment: they bring no gRPC and no protobuf."""

OF_AGENT = ("bench-agent", "bench-auth", "bench-core", "bench-data", "bench-protos", "bench-track")
"""In the agent's environment."""


@dataclass(frozen=True)
class Wheel:
    """A wheel.

    Args:
        name: Of its file.
        data: Its bytes: the same code gives the same ones.
    """

    name: str
    data: bytes


def requirements_of_others(names: tuple[str, ...]) -> list[str]:
    """What packages of ours require of others, sorted."""
    return sorted({text for name in names for text in REQUIRES[name] if text not in REQUIRES})


@cache
def bench_wheel(name: str) -> Wheel:
    """The wheel of a package as it is installed here, editable or not.

    Args:
        name: Such as "bench-data".

    Raises:
        ImageError: It is not installed.
    """
    module = name.replace("-", "_")
    entries = {f"{module}/{path}": data for path, data in _files(module)}
    folder = f"{module}-{VERSION}.dist-info"
    entries[f"{folder}/METADATA"] = _metadata(name).encode()
    entries[f"{folder}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: bench-deploy\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    entries[f"{folder}/RECORD"] = _record(entries, f"{folder}/RECORD").encode()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for path, data in entries.items():
            entry = zipfile.ZipInfo(path)  # its time is 1980
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, data)
    return Wheel(f"{module}-{VERSION}-py3-none-any.whl", written.getvalue())


def _files(module: str) -> Iterator[tuple[str, bytes]]:
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ImageError(f"{module} is not installed here", hint="Install all of Bench: bench-kit.")
    root = Path(spec.submodule_search_locations[0])
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            yield path.relative_to(root).as_posix(), path.read_bytes()


def _metadata(name: str) -> str:
    requires = (f"{text}=={VERSION}" if text in REQUIRES else text for text in REQUIRES[name])
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {VERSION}"]
    return "\n".join([*lines, *(f"Requires-Dist: {text}" for text in requires), ""])


def _record(entries: dict[str, bytes], own: str) -> str:
    lines = []
    for path, data in entries.items():
        digest = urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(data)}")
    return "\n".join([*lines, f"{own},,", ""])
