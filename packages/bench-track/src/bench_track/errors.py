"""What bench-track raises on purpose.

BenchError
  +-- TrackError
        +-- RecordError       bytes that are no record
        +-- ValueLogError     a value, name or step that cannot be logged
        +-- CheckpointError   a checkpoint that cannot be written or read
        +-- SyncError         the server does not get what a run logged
"""

from bench_core import BenchError


class TrackError(BenchError):
    """Something of a tracked run that the user can understand and mend."""


class RecordError(TrackError):
    """Bytes of a spool that no writer writes."""


class ValueLogError(TrackError):
    """A value, a name or a step that cannot be logged."""


class CheckpointError(TrackError):
    """A checkpoint that cannot be written or read."""


class SyncError(TrackError):
    """The server does not get what a run logged."""
