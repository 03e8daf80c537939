"""Datasets whose chunks are on a server only: which version has them (FORMAT.md, section 8)."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from bench_core import ENDPOINT_VARIABLE, atomic_write

from bench_data.errors import FormatError
from bench_data.known_project import KnownProject
from bench_data.stored_zip import canonical_json

NAME_DIGITS = 32


@dataclass(frozen=True, kw_only=True)
class Streamed:
    """The version that has a dataset's chunks.

    Args:
        endpoint: Its server's URL; None: that of the login.
        project: The project's id.
        dataset: The dataset's name there.
        version_number: The version.
    """

    endpoint: str | None
    project: str
    dataset: str
    version_number: int

    @property
    def known_project(self) -> KnownProject:
        """Where that is, seen from this machine."""
        return KnownProject(os.environ.get(ENDPOINT_VARIABLE) or self.endpoint, self.project)


def streamed_name(fingerprint: str) -> str:
    """The file's name in the dataset's folder.

    Args:
        fingerprint: Of the manifest that it is about.
    """
    return f"streamed-{fingerprint[:NAME_DIGITS]}.json"


def read_streamed(folder: Path, fingerprint: str) -> Streamed | None:
    """Where the chunks of a dataset are, if not here.

    Args:
        folder: The dataset's folder.
        fingerprint: Of its manifest.

    Raises:
        FormatError: The file is damaged.
    """
    path = folder / streamed_name(fingerprint)
    try:
        found = Streamed(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        found = None
    if found is None or not isinstance(found.version_number, int):
        raise FormatError(f"{path} is damaged", hint="Call process_datasets again, or pull the dataset.")
    return found


def write_streamed(folder: Path, fingerprint: str, streamed: Streamed, *, durable: bool) -> None:
    """Note where the chunks of a dataset are.

    Args:
        folder: The dataset's folder.
        fingerprint: Of its manifest.
        streamed: The version that has them.
        durable: Return only when it is on the disk.
    """
    path, data = folder / streamed_name(fingerprint), canonical_json(asdict(streamed)) + b"\n"
    if not path.exists() or path.read_bytes() != data:
        atomic_write(path, data, durable=durable)


def forget_streamed(folder: Path) -> None:
    """The chunks of a dataset are here again."""
    for path in folder.glob(streamed_name("?" * NAME_DIGITS)):
        path.unlink(missing_ok=True)
