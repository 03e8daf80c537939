"""Tracks come in: the bytes of their files, by offset, become points, media, orders and notes.

What a call brings is taken in portions; a portion and the offset behind it are one transaction. Nothing
that a track says is trusted.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from bench_track import records
from bench_track.errors import RecordError
from django.db import transaction

from bench_server.errors import Refused, invalid
from bench_server.runs.models import Attempt
from bench_server.tracks.models import Track
from bench_server.tracks.portion import Portion

WRITER = re.compile("([0-9]{1,9})-[0-9]{1,9}-[0-9a-f]{8}")
"""Of a file's name; the rank comes first."""

MAX_WRITERS = 10_000
"""Of an attempt."""

QUOTA_BYTES = 10_000_000_000
"""Of the tracks of a run. What comes behind is counted, and left out."""

PORTION_BYTES = 4 << 20
"""Taken in one transaction, or one record if it is larger."""


@dataclass(frozen=True)
class Appended:
    """What became of bytes that were sent.

    Args:
        received: The bytes of the file that the server has: the offset to go on from.
        truncated: Whether the run has reached its quota.
    """

    received: int
    truncated: bool


def append(
    attempt: Attempt, writer: str, start: int, pieces: Iterable[bytes], *, quota: int = QUOTA_BYTES
) -> Appended:
    """Add to a track of an attempt what it does not have yet.

    Args:
        attempt: Whose.
        writer: The file's name, without its ending.
        start: The offset of the first byte.
        pieces: The bytes, without a gap.
        quota: What is kept of the run's tracks at most.

    Raises:
        Refused: FIELD_INVALID, OFFSET_MISMATCH, TRACK_INVALID.
    """
    track = _find(attempt, writer)
    if not 0 <= start <= track.received:
        raise _gap(track, start)
    appended = Appended(track.received, False)
    waiting = bytearray()
    for data in pieces:
        waiting += data
        if len(waiting) >= PORTION_BYTES:
            appended = _take(track, start, waiting, quota)
            done = max(0, min(len(waiting), appended.received - start))
            del waiting[:done]
            start += done
            _check_size(start, len(waiting))
    return _take(track, start, waiting, quota) if waiting else appended


def _find(attempt: Attempt, writer: str) -> Track:
    matched = WRITER.fullmatch(writer)
    if matched is None:
        raise invalid("writer", f"{writer[:80]!r} is none: RANK-PID-8 hex digits")
    found = Track.objects.filter(attempt=attempt, writer=writer).first()
    if found is not None:
        return found
    if Track.objects.filter(attempt=attempt).count() >= MAX_WRITERS:
        raise invalid("writer", f"the attempt has {MAX_WRITERS:,} of them already")
    rank = int(matched[1])
    return Track.objects.get_or_create(attempt=attempt, writer=writer, defaults={"rank": rank})[0]


def _take(track: Track, start: int, data: bytearray, quota: int) -> Appended:
    """Put whole records into the tables."""
    with transaction.atomic():
        # Whoever else sends this track waits here, and then sees what was done.
        locked = Track.objects.select_for_update().get(pk=track.pk)
        if start > locked.received:
            raise _gap(locked, start)
        new = memoryview(data)[locked.received - start :]
        found, size = _records(locked, new)
        portion = Portion(locked, has_room=_used_bytes(locked) < quota)
        portion.take(found, size)
        return Appended(locked.received, not portion.has_room)


def _records(track: Track, data: memoryview) -> tuple[list[records.Record], int]:
    """The whole records that new bytes of a track begin with, and their size.

    Raises:
        Refused: TRACK_INVALID.
    """
    if not track.received and bytes(data[: len(records.MAGIC)]) != records.MAGIC[: len(data)]:
        raise damaged(track, "the file does not begin as a track does")
    try:
        found, size = records.read_records(data)
    except RecordError as error:
        raise damaged(track, f"behind byte {track.received:,}: {error.message}") from None
    except RecursionError:
        raise damaged(track, f"behind byte {track.received:,}: it has JSON that is none") from None
    rest = data[size:]
    length = int.from_bytes(rest[:4], "little")
    if len(rest) >= HEAD_BYTES + length and len(rest) > HEAD_BYTES:
        raise damaged(track, f"the record at byte {track.received + size:,} has another checksum")
    return found, size


HEAD_BYTES = 9
"""Of a record: length, checksum, kind."""


def _check_size(start: int, length: int) -> None:
    if length > HEAD_BYTES + records.MAX_PAYLOAD_BYTES:
        raise Refused("TRACK_INVALID", f"the record at byte {start:,} does not end")


def _used_bytes(track: Track) -> int:
    """What the run's tracks have, without what was left out."""
    rows = Track.objects.filter(attempt__run__attempts=track.attempt_id).values_list("received", "skipped")
    return sum(received - skipped for received, skipped in rows)


def _gap(track: Track, start: int) -> Refused:
    return Refused(
        "OFFSET_MISMATCH",
        f"the server has {track.received:,} bytes of this track, and the data begins at {start:,}",
        received_bytes=track.received,
    )


def damaged(track: Track, message: str) -> Refused:
    """The refusal of bytes that are no records."""
    return Refused("TRACK_INVALID", f"{track.writer}: {message}")
