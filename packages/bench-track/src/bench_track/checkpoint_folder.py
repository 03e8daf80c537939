"""A checkpoint's folder: its name, its checkpoint.json, and whether it is whole (docs/tracking.md)."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench_track.errors import CheckpointError

VERSION = 1
DOCUMENT, STATE = "checkpoint.json", "state.pt"

Content = Literal["state", "file", "folder"]

_NAME = re.compile(r"step-(\d{9,16})(-\d+)?")
_READ_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class CheckpointFile:
    """A file of a checkpoint.

    Args:
        path: Below the checkpoint's folder, with `/`.
        size: Its bytes.
        sha256: Of its content, in hex.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A whole checkpoint.

    Args:
        folder: Where it is.
        step: The step that it was made at.
        time: When, Unix, in ns.
        metric: How good the model was, or None.
        content: `state`: a dict, in state.pt; `file` or `folder`: what the script had written itself.
        files: All but checkpoint.json.
        config: The run's, when it was made.
        models: For each module that was given itself, or has a builder: `class`, `builder`, `arguments`.
    """

    folder: Path
    step: int
    time: int
    metric: float | None
    content: Content
    files: tuple[CheckpointFile, ...]
    config: dict[str, Any] = field(default_factory=dict)
    models: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its folder's name."""
        return self.folder.name

    @property
    def size_bytes(self) -> int:
        """Of all its files."""
        return sum(file.size for file in self.files)

    @property
    def path(self) -> Path:
        """What was saved: the file, else the folder."""
        return self.folder if self.content == "folder" else self.folder / self.files[0].path

    def document(self) -> bytes:
        """Its checkpoint.json."""
        fields = {"version": VERSION, **asdict(self)}
        del fields["folder"]
        return json.dumps(fields, allow_nan=False, indent=1).encode()

    def verify(self) -> None:
        """Compare all its bytes with their digests.

        Raises:
            CheckpointError: A file is gone, or is another.
        """
        for file in self.files:
            try:
                size, digest = hash_file(self.folder / file.path)
            except OSError as error:
                raise CheckpointError(f"{self.folder / file.path} cannot be read: {error}") from error
            if (size, digest) != (file.size, file.sha256):
                raise CheckpointError(
                    f"{self.folder / file.path} is not what was written: its digest differs"
                )


def folder_name(step: int, number: int = 1) -> str:
    """The name of a checkpoint's folder; `number` counts those of the same step."""
    return f"step-{step:09d}" + (f"-{number}" if number > 1 else "")


def find(root: Path) -> Iterator[Checkpoint | CheckpointError]:
    """The checkpoints below a folder, the newest first; an error for each that is not whole, these first.

    Args:
        root: The folder; it need not exist.

    Raises:
        CheckpointError: It cannot be read.
    """
    found: list[Checkpoint] = []
    try:
        names = sorted(name for name in os.listdir(root) if _NAME.fullmatch(name))
    except FileNotFoundError:
        return
    except OSError as error:
        raise CheckpointError(
            f"the checkpoints in {root} cannot be read: {error.strerror}", hint="Is it a folder of yours?"
        ) from error
    for name in names:
        try:
            found.append(read(root / name))
        except CheckpointError as error:
            yield error
    yield from sorted(found, key=lambda one: (one.time, one.step), reverse=True)


def read(folder: Path) -> Checkpoint:
    """A checkpoint whose files have the sizes that they were written with.

    Args:
        folder: Its folder.

    Raises:
        CheckpointError: It is not whole.
    """
    try:
        fields = json.loads((folder / DOCUMENT).read_bytes())
        if fields.pop("version") != VERSION:
            raise CheckpointError(f"{folder} is of another version", hint="Update bench-track.")
        files = tuple(CheckpointFile(**file) for file in fields.pop("files"))
        checkpoint = Checkpoint(folder=folder, files=files, **fields)
        for file in files:
            if (size := (folder / file.path).stat().st_size) != file.size:
                raise CheckpointError(f"{folder / file.path} has {size:,} bytes of {file.size:,}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder} is no whole checkpoint: {error!r}") from error
    return checkpoint


def hash_file(path: Path) -> tuple[int, str]:
    """Its size and SHA-256."""
    size, digest = 0, hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while data := file.read(_READ_BYTES):
            size += len(data)
            digest.update(data)
    return size, digest.hexdigest()
