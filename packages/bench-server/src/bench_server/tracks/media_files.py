"""The contents of media: a file for each track that only grows, `tracks/RUN/NUMBER/WRITER.media`.

Its row says how long it is. What lies behind was written by a transaction that did not happen, and is
overwritten.
"""

import os
from pathlib import Path

from bench_core import sync_file
from django.conf import settings

from bench_server.tracks.models import Media, Track


def path_of(track: Track) -> Path:
    """Where a track's media lie."""
    attempt = track.attempt
    return settings.FOLDER.tracks / str(attempt.run_id) / str(attempt.number) / f"{track.writer}.media"


def append(track: Track, content: bytes) -> int:
    """Write content behind the last one, on the disk when this returns; its offset.

    The caller's transaction saves the row.
    """
    path, offset = path_of(track), track.media_bytes
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.seek(offset)
        file.write(content)
        file.flush()
        sync_file(file.fileno())
    track.media_bytes += len(content)
    return offset


def read(media: Media) -> bytes:
    """The content."""
    with path_of(media.track).open("rb") as file:
        return os.pread(file.fileno(), media.size, media.offset)
