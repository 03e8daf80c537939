"""Checkpoints of runs that were started elsewhere: kept as blobs of the project, whole or not at all."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench_deploy.checkpoint_document import read_document
from bench_deploy.errors import CheckpointError
from bench_track.checkpoint_folder import CheckpointFile as DocumentFile
from django.db import transaction
from django.db.models.functions import Now

from bench_server.datasets import blobs, garbage
from bench_server.datasets.store import Damaged
from bench_server.errors import Refused, invalid
from bench_server.projects.models import Project
from bench_server.projects.services import lock
from bench_server.runs import external
from bench_server.runs.models import Attempt, Run
from bench_server.tracks import forgetting
from bench_server.tracks.models import Checkpoint, CheckpointFile

MAX_DOCUMENT_BYTES = 2 << 20
MAX_NAME = 200
LARGEST_STEP = 1 << 53


@dataclass(frozen=True)
class _File:
    """A file that a document names, and the blob that is said to be it."""

    file: DocumentFile
    digest: str


def keep(
    run: Run, name: str, document: bytes, digests: Sequence[str], *, unannounced: bool
) -> tuple[Checkpoint, bool]:
    """Keep a checkpoint whose files are blobs of the project.

    Args:
        run: Whose.
        name: Its folder's.
        document: Its checkpoint.json.
        digests: The BLAKE3 of its files, in the order of the document.
        unannounced: Also if the run has said nothing of it.

    Returns:
        The checkpoint, and whether it was kept already.

    Raises:
        Refused: See KeepCheckpoint.
    """
    attempt = external.attempt_of(run)
    files = _read(name, document, digests)
    row = _find(attempt, name)
    if row is None and not unannounced:
        raise _removed(run, name, digests)
    if row is not None and _is_kept(row, document):
        return row, True
    _compare(run.project, files)
    try:
        return _record(attempt, name, document, files, unannounced=unannounced)
    except Checkpoint.DoesNotExist:
        raise _removed(run, name, digests) from None


def _read(name: str, document: bytes, digests: Sequence[str]) -> list[_File]:
    if not 0 < len(name) <= MAX_NAME or not name.isprintable() or "/" in name:
        raise invalid("name", f"must have 1 to {MAX_NAME} printable characters, and no slash")
    if len(document) > MAX_DOCUMENT_BYTES:
        raise invalid("document", f"has {len(document):,} bytes; at most {MAX_DOCUMENT_BYTES:,} are taken")
    try:
        files = read_document(document)
    except CheckpointError as error:
        raise _invalid(error.message) from None
    if len(files) != len(digests):
        raise invalid("digests", f"are {len(digests):,}, and the document names {len(files):,} files")
    return [_File(file, digest) for file, digest in zip(files, digests, strict=True)]


def _compare(project: Project, files: list[_File]) -> None:
    """Whether the blobs are what the document says: all their bytes are read."""
    _check_there(project, files)
    store = blobs.the_store()
    for one in {(found.digest, found.file.size, found.file.sha256): found for found in files}.values():
        digest = hashlib.sha256()
        try:
            for piece in store.read(one.digest, 0, one.file.size):
                digest.update(piece)
        except Damaged:
            raise _missing([one]) from None
        if digest.hexdigest() != one.file.sha256:
            raise _invalid(f"{one.file.path} has another SHA-256 than the document says")


def _check_there(project: Project, files: list[_File]) -> None:
    sizes = blobs.sizes(project, {one.digest for one in files})
    if missing := [one for one in files if one.digest not in sizes]:
        raise _missing(missing)
    for one in files:
        if sizes[one.digest] != one.file.size:
            raise _invalid(f"{one.file.path} has {sizes[one.digest]:,} bytes, and not {one.file.size:,}")


def _record(
    attempt: Attempt, name: str, document: bytes, files: list[_File], *, unannounced: bool
) -> tuple[Checkpoint, bool]:
    """Note that it is kept.

    Raises:
        Checkpoint.DoesNotExist: The run has removed it meanwhile.
    """
    project = attempt.run.project
    with transaction.atomic():
        lock(project)  # what is looked for now stays until it is needed
        if unannounced:
            Checkpoint.objects.get_or_create(attempt=attempt, name=name, defaults=_said_by(document, name))
        row = Checkpoint.objects.select_for_update().get(attempt=attempt, name=name)
        if _is_kept(row, document):
            return row, True
        _check_there(project, files)
        if row.keep_time is not None:
            forgetting.forget_files(row, project)
        rows = [CheckpointFile(checkpoint=row, path=one.file.path, blob_id=one.digest) for one in files]
        CheckpointFile.objects.bulk_create(rows)
        size = sum(one.file.size for one in files)
        Checkpoint.objects.filter(pk=row.pk).update(keep_time=Now(), document=document, size_bytes=size)
        forgetting.forget_superseded(attempt.pk, project)
    found = _find(attempt, name)
    if found is None:
        raise Checkpoint.DoesNotExist
    return found, False


def _find(attempt: Attempt, name: str) -> Checkpoint | None:
    return Checkpoint.objects.filter(attempt=attempt, name=name).select_related("attempt").first()


def _is_kept(row: Checkpoint, document: bytes) -> bool:
    return row.keep_time is not None and bytes(row.document) == document


def _said_by(document: bytes, name: str) -> dict[str, Any]:
    """What a checkpoint.json says of a checkpoint, of which the run has said nothing."""
    fields = json.loads(document)
    step, metric, time = fields.get("step"), fields.get("metric"), fields.get("time")
    return {
        "path": f"checkpoints/{name}",
        "step": step if type(step) is int and 0 <= step < LARGEST_STEP else 0,
        "metric": metric if type(metric) is float else None,
        "note": {"time": time} if type(time) is int and 0 <= time < 1 << 63 else {},
    }


def _removed(run: Run, name: str, digests: Sequence[str]) -> Refused:
    garbage.free(run.project_id, sorted(set(digests)))
    return Refused("CHECKPOINT_NOT_FOUND", f"{run.name} has no checkpoint {name!r}, or has removed it")


def _missing(missing: list[_File]) -> Refused:
    return Refused(
        "BLOBS_MISSING",
        f"{len(missing)} of the checkpoint's files are not there, such as {missing[0].file.path}",
        hint="Upload them, and try again.",
        missing_count=len(missing),
        digest=missing[0].digest,
    )


def _invalid(message: str) -> Refused:
    return Refused("CHECKPOINT_INVALID", message, hint="Is it what the training wrote?")
