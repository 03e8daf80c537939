"""A checkpoint of a run, fetched whole: written beside its place, compared with its digests, then renamed."""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from bench_core import sync_file, sync_folder
from bench_track.checkpoint_folder import DOCUMENT, CheckpointFile

from bench_deploy.checkpoint_document import read_document
from bench_deploy.errors import CheckpointError


class Source(Protocol):
    """Where the files of a checkpoint come from."""

    def document(self) -> bytes:
        """Its checkpoint.json."""

    def read(self, file: CheckpointFile) -> Iterator[bytes]:
        """As many bytes of a file as it is to have."""


def fetch(source: Source, target: Path) -> tuple[CheckpointFile, ...]:
    """Make a checkpoint's folder, which appears whole or not at all.

    Args:
        source: Where it comes from.
        target: The folder; there is nothing of its name yet.

    Returns:
        Its files.

    Raises:
        CheckpointError: There is something, a file is not what was written, or the folder cannot be written.
    """
    _check_free(target)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        document = source.document()
        files = read_document(document)
        for file in files:
            _write(partial / file.path, file, source.read(file))
        _write_document(partial / DOCUMENT, document)
        for folder, _, _ in os.walk(partial):
            sync_folder(folder)
        _check_free(target)
        os.rename(partial, target)
        sync_folder(target.parent)
    except OSError as error:
        raise CheckpointError(
            f"the checkpoint cannot be kept in {target}: {error.strerror}", hint="Is there room?"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return files


def _check_free(target: Path) -> None:
    if os.path.lexists(target):
        raise CheckpointError(f"{target} is there already", hint="Name a folder that is not there yet.")


def _write(path: Path, file: CheckpointFile, pieces: Iterator[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with path.open("xb") as written:
        for data in pieces:
            written.write(data)
            digest.update(data)
            size += len(data)
        written.flush()
        sync_file(written.fileno())
    if (size, digest.hexdigest()) != (file.size, file.sha256):
        raise CheckpointError(
            f"{file.path} is not what the training wrote: its digest differs",
            hint="The checkpoint is damaged; another one may be whole.",
        )


def _write_document(path: Path, document: bytes) -> None:
    with path.open("xb") as written:
        written.write(document)
        written.flush()
        sync_file(written.fileno())
