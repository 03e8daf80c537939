"""checkpoint.json of a run (docs/tracking.md). It comes from a training, and may say anything."""

import json
import re
from typing import Any

from bench_track.checkpoint_folder import DOCUMENT, VERSION, CheckpointFile

from bench_deploy.artifact_file import checked_parts
from bench_deploy.errors import ArtifactError, CheckpointError

MAX_FILES = 10_000
MAX_PATH = 1000
"""Characters."""

_SHA256 = re.compile("[0-9a-f]{64}")


def read_document(data: bytes) -> tuple[CheckpointFile, ...]:
    """The files of a checkpoint, whose paths all stay inside of its folder.

    Args:
        data: The bytes of its checkpoint.json.

    Raises:
        CheckpointError: They are those of no checkpoint.
    """
    try:
        fields = json.loads(data)
        if fields["version"] != VERSION:
            raise CheckpointError(
                f"the checkpoint is of version {fields['version']!r}", hint="Update bench-deploy."
            )
        files = tuple(map(_file, fields["files"]))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, ArtifactError) as error:
        raise CheckpointError(f"the checkpoint's {DOCUMENT} cannot be used: {error}") from error
    _check_paths([file.path for file in files])
    return files


def _file(fields: Any) -> CheckpointFile:
    file = CheckpointFile(path=fields["path"], size=fields["size"], sha256=fields["sha256"])
    checked_parts(file.path)
    file.path.encode()  # half a character is no text
    if len(file.path) > MAX_PATH or type(file.size) is not int or not 0 <= file.size < 1 << 63:
        raise ValueError(f"{file.path[:200]!r} has no size or too long a name")
    if not _SHA256.fullmatch(file.sha256):
        raise ValueError(f"{file.path!r} has no SHA-256")
    return file


def _check_paths(paths: list[str]) -> None:
    folders = {path[:at] for path in paths for at, sign in enumerate(path) if sign == "/"}
    names = {DOCUMENT, *paths}
    if not 0 < len(paths) <= MAX_FILES or len(names) <= len(paths) or names & folders:
        raise CheckpointError(
            f"the checkpoint's {DOCUMENT} names {len(paths):,} files: 1 to {MAX_FILES:,} are taken, each once"
        )
