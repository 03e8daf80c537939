"""Notes of a track: what a training was configured with, its checkpoints, what was dropped."""

import json
from collections.abc import Callable
from typing import Any

from bench_server.runs.models import Run
from bench_server.tracks.models import Checkpoint, Track

MAX_CONFIG_BYTES = 1 << 20
"""Of a run's config. What would make it larger is left out."""

MAX_CHECKPOINTS = 10_000
"""Of an attempt."""

LARGEST = 1 << 53


def take(track: Track, note: dict[str, Any]) -> None:
    """Do what a note says; one that makes no sense, or is of a later version, is left out."""
    kind = note.get("type")
    if isinstance(kind, str) and kind in _KINDS:
        _KINDS[kind](track, note)


def _take_config(track: Track, note: dict[str, Any]) -> None:
    config = note.get("config")
    if not isinstance(config, dict):
        return
    run = Run.objects.select_for_update().get(attempts=track.attempt_id)
    merged = {**run.config, **config}
    if len(json.dumps(merged)) <= MAX_CONFIG_BYTES:
        Run.objects.filter(pk=run.pk).update(config=merged)


def _take_checkpoint(track: Track, note: dict[str, Any]) -> None:
    path, step = note.get("path"), note.get("step")
    if not isinstance(path, str) or not 0 < len(path) <= 500 or not _is_count(step):
        return
    rows = Checkpoint.objects.filter(attempt=track.attempt_id)
    if rows.count() >= MAX_CHECKPOINTS:
        return
    metric, size = note.get("metric"), note.get("size_bytes")
    fields = {
        "step": step,
        "metric": float(metric) if isinstance(metric, (int, float)) else None,
        "size_bytes": size if _is_count(size) else 0,
        "note": note,
    }
    rows.update_or_create(attempt_id=track.attempt_id, path=path, defaults=fields)


def _take_removed(track: Track, note: dict[str, Any]) -> None:
    path = note.get("path")
    if isinstance(path, str):
        Checkpoint.objects.filter(attempt=track.attempt_id, path=path).delete()


def _take_dropped(track: Track, note: dict[str, Any]) -> None:
    count = note.get("points")
    if isinstance(count, int) and _is_count(count):
        track.dropped += count


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < LARGEST


_KINDS: dict[str, Callable[[Track, dict[str, Any]], None]] = {
    "config": _take_config,
    "checkpoint": _take_checkpoint,
    "checkpoint_removed": _take_removed,
    "dropped": _take_dropped,
}
