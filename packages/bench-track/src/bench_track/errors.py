"""What bench-track raises on purpose.

BenchError
  +-- TrackError
        +-- RecordError     bytes that are no record
"""

from bench_core import BenchError


class TrackError(BenchError):
    """Something of a tracked run that the user can understand and mend."""


class RecordError(TrackError):
    """Bytes of a spool that no writer writes."""
