"""Logs metrics, media and checkpoints from a training script."""

from bench_track.beginning import init
from bench_track.errors import CheckpointError, RecordError, SyncError, TrackError, ValueLogError
from bench_track.media import Histogram, Image, Table, Text
from bench_track.run import Run
from bench_track.syncing import sync

__all__ = [
    "CheckpointError",
    "Histogram",
    "Image",
    "RecordError",
    "Run",
    "SyncError",
    "Table",
    "Text",
    "TrackError",
    "ValueLogError",
    "init",
    "sync",
]
