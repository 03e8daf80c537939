"""Checkpoints of runs: where their files are, and the bytes of them."""

from collections.abc import Collection, Iterator
from enum import Enum

from bench_protos.tracks.v1 import tracks_pb2 as pb
from bench_track.checkpoint_folder import DOCUMENT
from django.db.models import QuerySet, Value
from django.db.models.functions import Length

from bench_server.datasets import blobs
from bench_server.datasets.store import MESSAGE_BYTES
from bench_server.errors import Refused
from bench_server.runs import artifacts
from bench_server.runs.artifacts import Artifact
from bench_server.runs.models import Run
from bench_server.runs.states import EXTERNAL
from bench_server.tracks.models import Checkpoint, CheckpointFile

KEPT = "checkpoints"
"""In the paths of files that are no run's output."""

FOLDER = "output/checkpoints"
"""Where the runs of the server have theirs."""


class Place(Enum):
    """Where the files of a checkpoint are. The values are the numbers of the contract."""

    SERVER = pb.CHECKPOINT_PLACE_SERVER
    ELSEWHERE = pb.CHECKPOINT_PLACE_ELSEWHERE
    GONE = pb.CHECKPOINT_PLACE_GONE


def checkpoints_of(run: Run) -> list[Checkpoint]:
    """The checkpoints of a run, by step."""
    return sorted(_rows(run), key=sort_key)


def latest(run: Run, count: int) -> list[Checkpoint]:
    """So many of the checkpoints of a run, those of the greatest steps first."""
    return list(_rows(run).order_by("-step", "-pk")[:count])


def _rows(run: Run) -> QuerySet[Checkpoint]:
    """All but those that the run has removed, and of which the server has nothing yet."""
    rows = Checkpoint.objects.filter(attempt__run=run).exclude(
        remove_time__isnull=False, keep_time__isnull=True
    )
    return rows.select_related("attempt").defer("document")


def sort_key(checkpoint: Checkpoint) -> str:
    """Unique among the checkpoints of a run, and in the order of their steps."""
    return f"{checkpoint.step:016d} {checkpoint.pk:020d}"


def places(run: Run, checkpoints: Collection[Checkpoint]) -> dict[int, Place]:
    """Where the files of a run's checkpoints are, by the keys of their rows."""
    if any(one.attempt.engine == EXTERNAL for one in checkpoints):
        return {one.pk: Place.SERVER if one.keep_time else Place.ELSEWHERE for one in checkpoints}
    folders = artifacts.folders_in(run, FOLDER) if checkpoints else set()
    return {one.pk: Place.SERVER if one.name in folders else Place.GONE for one in checkpoints}


def find(run: Run, attempt_number: int, name: str) -> Checkpoint:
    """A checkpoint of a run.

    Raises:
        Refused: CHECKPOINT_NOT_FOUND.
    """
    found = _rows(run).filter(attempt__number=attempt_number, name=name).first()
    if found is None:
        raise Refused(
            "CHECKPOINT_NOT_FOUND",
            f"attempt {attempt_number} of {run.name} has no checkpoint {name[:200]!r}",
            hint="`bench checkpoints` lists them; the training removes older ones.",
        )
    return found


def read(run: Run, checkpoint: Checkpoint, path: str, start: int, length: int) -> Iterator[bytes]:
    """A range of a file of a checkpoint.

    Args:
        run: Whose.
        checkpoint: Which.
        path: Of the file, below the checkpoint's folder.
        start: The first byte.
        length: Bytes; 0: to the end.

    Raises:
        Refused: CHECKPOINT_NOT_FOUND, CHECKPOINT_ELSEWHERE, RANGE_INVALID, BLOB_DAMAGED.
    """
    place = places(run, [checkpoint])[checkpoint.pk]
    if place is not Place.SERVER:
        raise _elsewhere(checkpoint, place)
    try:
        if checkpoint.keep_time is None:
            yield from artifacts.read_artifact(run, f"{FOLDER}/{checkpoint.name}/{path}", start, length)
        elif path == DOCUMENT:
            yield from _range_of(bytes(checkpoint.document), start, length)
        else:
            yield from blobs.read(run.project, _digest(checkpoint, path), start, length)
    except Refused as error:
        if error.reason == "BLOB_DAMAGED":
            raise Refused(error.reason, error.message, hint=_where_else(checkpoint)) from None
        if error.reason not in ("ARTIFACT_NOT_FOUND", "BLOB_NOT_FOUND"):
            raise
        raise Refused(
            "CHECKPOINT_NOT_FOUND", f"the checkpoint {checkpoint.name} has no file {path[:200]!r}"
        ) from None


def _digest(checkpoint: Checkpoint, path: str) -> str:
    """Of a file; empty if there is none."""
    return checkpoint.files.filter(path=path).values_list("blob_id", flat=True).first() or ""


def _range_of(data: bytes, start: int, length: int) -> Iterator[bytes]:
    end = start + length if length else len(data)
    if not 0 <= start <= end <= len(data) or length < 0:
        raise Refused("RANGE_INVALID", f"the file has {len(data):,} bytes", size_bytes=len(data))
    yield from (data[at : min(end, at + MESSAGE_BYTES)] for at in range(start, end, MESSAGE_BYTES))


def kept_files(run: Run) -> list[Artifact]:
    """Files of checkpoints that the server keeps, as files that the run left: `checkpoints/NAME/PATH`."""
    kept = Checkpoint.objects.filter(attempt__run=run, keep_time__isnull=False)
    files = CheckpointFile.objects.filter(checkpoint__in=kept)
    rows = [
        *kept.values_list("name", Value(DOCUMENT), Length("document"), "keep_time"),
        *files.values_list("checkpoint__name", "path", "blob__size_bytes", "checkpoint__keep_time"),
    ]
    found = [
        Artifact(f"{KEPT}/{name}/{path}", size, int(time.timestamp())) for name, path, size, time in rows
    ]
    return sorted(found, key=lambda file: file.path)


def find_kept(run: Run, path: str) -> tuple[Checkpoint, str, int] | None:
    """The file of a path of `kept_files`: its checkpoint, its path there, and its size."""
    root, _, rest = path.partition("/")
    name, _, inner = rest.partition("/")
    found = _rows(run).filter(name=name, keep_time__isnull=False).first() if root == KEPT else None
    if found is None:
        return None
    if inner == DOCUMENT:
        return found, inner, len(found.document)
    size = found.files.filter(path=inner).values_list("blob__size_bytes", flat=True).first()
    return None if size is None else (found, inner, size)


def _elsewhere(checkpoint: Checkpoint, place: Place) -> Refused:
    if place is Place.GONE:
        return Refused(
            "CHECKPOINT_ELSEWHERE",
            f"the run's folder does not have the checkpoint {checkpoint.name} any more",
        )
    return Refused(
        "CHECKPOINT_ELSEWHERE",
        f"the checkpoint {checkpoint.name} is on the machine that the run was started on",
        hint=_where_else(checkpoint),
    )


def _where_else(checkpoint: Checkpoint) -> str:
    return f"Where the run was started it was {checkpoint.path}."
