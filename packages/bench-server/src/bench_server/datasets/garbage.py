"""Finds what nothing needs, and removes it."""

import datetime
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from bench_server.code.models import ProjectVersion
from bench_server.datasets.blobs import LOOKUP, the_store
from bench_server.datasets.models import Blob, ProjectBlob, VersionBlob
from bench_server.datasets.store import Store
from bench_server.projects.models import Project
from bench_server.runs.models import Run
from bench_server.tracks.models import CheckpointFile

SPARED = datetime.timedelta(days=1)
"""Nothing younger is garbage: it may belong to an upload that is under way or interrupted."""


@dataclass
class Garbage:
    """What was found, or removed.

    Args:
        blobs: Blobs that no version, run or checkpoint of any project needs.
        parts: Uploads that were begun and not gone on with.
        bytes: The size of both.
    """

    blobs: int = 0
    parts: int = 0
    bytes: int = 0


def collect_garbage(*, remove: bool) -> Garbage:
    """Look for garbage.

    Args:
        remove: Remove it; otherwise it is only counted.
    """
    before, store, found = timezone.now() - SPARED, the_store(), Garbage()
    if remove:
        _forget_unneeded(before)
    for digest, size in _unneeded_blobs(before):
        if not remove or _remove_blob(store, digest):
            found.blobs, found.bytes = found.blobs + 1, found.bytes + size
    for size in store.old_parts(time.time() - SPARED.total_seconds(), remove=remove):
        found.parts, found.bytes = found.parts + 1, found.bytes + size
    return found


def free(project_id: UUID, digests: Sequence[str]) -> None:
    """Remove those blobs of a project at once that nothing needs.

    Who was about to use one that is there is told that it is missing, and sends it again.

    Args:
        project_id: Whose.
        digests: The blobs.
    """
    with transaction.atomic():
        Project.objects.select_for_update().filter(pk=project_id).first()
        for at in range(0, len(digests), LOOKUP):
            rows = ProjectBlob.objects.filter(project=project_id, blob__in=digests[at : at + LOOKUP])
            rows.filter(~_needed()).delete()
    store = the_store()
    for digest in digests:
        _remove_blob(store, digest)


def _needed() -> Q:
    """Whether a version of the project, or a run, checkpoint or dataset of it, needs the blob."""
    blob, project = OuterRef("blob"), OuterRef("project")
    of_datasets = VersionBlob.objects.filter(blob=blob, version__dataset__project=project)
    bundles = ProjectVersion.objects.filter(bundle=blob, project=project)
    of_runs = Run.objects.filter(bundle=blob, project=project)
    of_checkpoints = CheckpointFile.objects.filter(blob=blob, checkpoint__attempt__run__project=project)
    return Q(Exists(of_datasets)) | Q(Exists(bundles)) | Q(Exists(of_runs)) | Q(Exists(of_checkpoints))


def _forget_unneeded(before: datetime.datetime) -> None:
    """Take blobs from projects that do not need them."""
    unneeded = ProjectBlob.objects.filter(~_needed(), create_time__lt=before)
    for project in list(unneeded.values_list("project", flat=True).distinct()):
        with transaction.atomic():
            # A version of the project that is being made waits, or is made and seen.
            Project.objects.select_for_update().filter(pk=project).first()
            unneeded.filter(project=project).delete()


def _unneeded_blobs(before: datetime.datetime) -> list[tuple[str, int]]:
    kept = ProjectBlob.objects.filter(_needed() | Q(create_time__gte=before)).values("blob")
    rows: QuerySet[Blob] = Blob.objects.filter(create_time__lt=before).exclude(pk__in=kept)
    return list(rows.order_by("digest").values_list("digest", "size_bytes"))


def _remove_blob(store: Store, digest: str) -> bool:
    with store.exclusive(), transaction.atomic():
        gone = Blob.objects.filter(pk=digest, projects=None).delete()[0] > 0
        if gone:
            store.remove(digest)
        return gone
