"""Logs metrics, media and checkpoints from a training script."""

from bench_track.errors import RecordError, TrackError

__all__ = ["RecordError", "TrackError"]
