"""Notes of a track: what a run is called, was configured with and came to, its checkpoints, what was lost."""

import json
from collections.abc import Callable
from typing import Any

from django.db.models import BigIntegerField, QuerySet

from bench_server.errors import Refused
from bench_server.projects.models import Project
from bench_server.runs.labels import Labels, label_run
from bench_server.runs.models import Run
from bench_server.tracks import forgetting
from bench_server.tracks.models import Checkpoint, Track

MAX_VALUES_BYTES = 1 << 20
"""Of a run's config, and of its summary. What would make it larger is left out."""

MAX_CHECKPOINTS = 10_000
"""Of an attempt."""

LARGEST = 1 << 53


def take(track: Track, note: dict[str, Any]) -> None:
    """Do what a note says; one that makes no sense, or is of a later version, is left out."""
    kind = note.get("type")
    if isinstance(kind, str) and kind in _KINDS:
        _KINDS[kind](track, note)


def _take_config(track: Track, note: dict[str, Any]) -> None:
    _merge(track, "config", note.get("values"))


def _take_summary(track: Track, note: dict[str, Any]) -> None:
    _merge(track, "summary", note.get("values"))


def _merge(track: Track, field: str, values: Any) -> None:
    if not isinstance(values, dict):
        return
    run = Run.objects.select_for_update().get(attempts=track.attempt_id)
    merged = {**getattr(run, field), **values}
    if len(json.dumps(merged)) <= MAX_VALUES_BYTES:
        Run.objects.filter(pk=run.pk).update(**{field: merged})


def _take_about(track: Track, note: dict[str, Any]) -> None:
    run = Run.objects.select_related("project").get(attempts=track.attempt_id)
    tags, group, name = note.get("tags"), note.get("group"), note.get("name")
    try:
        labels = Labels(
            name=name if isinstance(name, str) else "",
            tags=tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
            group=group if isinstance(group, str) else "",
        )
    except Refused:
        return
    label_run(run, labels)


def _take_checkpoint(track: Track, note: dict[str, Any]) -> None:
    name, path, step = note.get("name"), note.get("path"), note.get("step")
    if not _is_text(name, 200) or not _is_text(path, 1000) or not _is_count(step):
        return
    rows = Checkpoint.objects.filter(attempt=track.attempt_id)
    known = rows.filter(name=name).defer("document").first()
    if known is None and rows.count() >= MAX_CHECKPOINTS:
        return
    size = note.get("bytes")
    fields = {
        "path": path,
        "step": step,
        "metric": _number(note.get("metric")),
        "is_best": note.get("best") is True,
        "size_bytes": size if _is_count(size) else 0,
        "note": note,
    }
    _forget(track, _same_folder(track, str(name)).exclude(attempt=track.attempt_id))
    if known is not None and known.remove_time is not None:
        _forget(track, rows.filter(pk=known.pk))
    elif known is not None and known.note.get("type") and known.note != note:  # another one of this name
        forgetting.forget_files(known, _project(track))
    rows.update_or_create(attempt_id=track.attempt_id, name=name, defaults=fields)


def _take_removed(track: Track, note: dict[str, Any]) -> None:
    forgetting.forget_removed(_same_folder(track, str(note.get("name"))), _project(track))


def _same_folder(track: Track, name: str) -> QuerySet[Checkpoint]:
    """The checkpoints of a name of all attempts: they have one folder, and go on with what lies there."""
    return Checkpoint.objects.filter(attempt__run__attempts=track.attempt_id, name=name)


def _forget(track: Track, checkpoints: QuerySet[Checkpoint]) -> None:
    forgetting.forget(checkpoints, _project(track))


def _project(track: Track) -> Project:
    return Project.objects.get(runs__attempts=track.attempt_id)


def _take_dropped(track: Track, note: dict[str, Any]) -> None:
    count = note.get("points")
    if isinstance(count, int) and _is_count(count):
        track.dropped = min(track.dropped + count, BigIntegerField.MAX_BIGINT)


def _number(value: object) -> float | None:
    """A number as the column takes it; None for all else, and for an integer that is too large."""
    if type(value) is not int and type(value) is not float:
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _is_text(value: object, length: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= length


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < LARGEST


_KINDS: dict[str, Callable[[Track, dict[str, Any]], None]] = {
    "about": _take_about,
    "config": _take_config,
    "summary": _take_summary,
    "checkpoint": _take_checkpoint,
    "checkpoint_removed": _take_removed,
    "dropped": _take_dropped,
}
