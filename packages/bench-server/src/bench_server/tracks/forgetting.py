"""What leaves of the checkpoints of runs, and when."""

from uuid import UUID

from django.db import transaction
from django.db.models import Max, Q, QuerySet
from django.db.models.functions import Now

from bench_server.datasets import garbage
from bench_server.projects.models import Project
from bench_server.runs.states import EXTERNAL
from bench_server.tracks.models import Checkpoint, CheckpointFile

MAX_REMOVED = 1_000
"""Of an attempt, so many are remembered that it removed before their files came: one may be on its way."""


def forget(checkpoints: QuerySet[Checkpoint], project: Project) -> None:
    """Delete checkpoints of a project. Their bytes leave after the transaction, unless they are needed."""
    _forget_files(CheckpointFile.objects.filter(checkpoint__in=checkpoints), project)
    checkpoints.delete()


def forget_files(checkpoint: Checkpoint, project: Project) -> None:
    """Keep the files of a checkpoint no longer."""
    _forget_files(checkpoint.files.all(), project)
    checkpoint.keep_time, checkpoint.document = None, b""
    checkpoint.save(update_fields=["keep_time", "document"])


def forget_removed(checkpoints: QuerySet[Checkpoint], project: Project) -> None:
    """Take it that a run has removed checkpoints; those of runs of elsewhere leave when they may."""
    elsewhere = checkpoints.filter(attempt__engine=EXTERNAL)
    attempts = list(elsewhere.values_list("attempt", flat=True))
    for attempt in attempts:
        _lock(attempt)
    Checkpoint.objects.filter(pk__in=list(elsewhere.values_list("pk", flat=True))).update(remove_time=Now())
    forget(checkpoints.exclude(attempt__engine=EXTERNAL), project)
    for attempt in attempts:
        forget_superseded(attempt, project)


def forget_superseded(attempt: UUID, project: Project) -> None:
    """Delete those checkpoints that a run of elsewhere has removed and the server need not keep any more.

    Over a slow line the server would never have one that is whole if it let each go when the run does. So
    one that is there, or on its way, stays while the server waits for a newer one that the run still has;
    one that was the best so far, while it waits for a newer of those.

    Args:
        attempt: The key of the run's attempt.
        project: The run's.
    """
    _lock(attempt)
    rows = Checkpoint.objects.filter(attempt=attempt)
    removed = rows.filter(remove_time__isnull=False)
    if not removed.exists():
        return
    best = rows.filter(is_best=True)
    forget(removed.exclude(_stand_in(rows) | (Q(is_best=True) & _stand_in(best))), project)
    on_their_way = removed.filter(keep_time__isnull=True).order_by("-pk").values_list("pk", flat=True)
    rows.filter(pk__in=list(on_their_way[MAX_REMOVED:])).delete()


def _stand_in(rows: QuerySet[Checkpoint]) -> Q:
    """Those from the newest that the server keeps on, up to the newest that the run has."""
    kept = rows.filter(keep_time__isnull=False).aggregate(newest=Max("pk"))["newest"]
    there = rows.filter(remove_time__isnull=True).aggregate(newest=Max("pk"))["newest"]
    return Q(pk__gte=kept or 0, pk__lt=there or 0)


def _lock(attempt: UUID) -> None:
    """Until the end of the transaction, nobody else keeps or removes checkpoints of the attempt."""
    list(Checkpoint.objects.select_for_update().filter(attempt=attempt).order_by("pk").values_list("pk"))


def _forget_files(files: QuerySet[CheckpointFile], project: Project) -> None:
    digests = sorted(set(files.values_list("blob_id", flat=True)))
    if not digests:
        return

    def free() -> None:
        garbage.free(project.pk, digests)

    files.delete()
    transaction.on_commit(free, robust=True)  # what fails here, gc finds
