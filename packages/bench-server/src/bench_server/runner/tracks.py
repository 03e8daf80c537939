"""The last of an attempt's tracks: what its agent did not send, from the spool on this machine's disk."""

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_core import BenchError

from bench_server.runs.models import Attempt
from bench_server.runs.trees import FOLDER
from bench_server.tracks import ingest
from bench_server.tracks.models import Track

logger = logging.getLogger("bench_server.runner")

PIECE_BYTES = 1 << 20
SUFFIX = ".records"


def drain(attempt: Attempt, spool: Path) -> None:
    """Take in what the spool has behind the tracks that are stored. Nothing there is trusted.

    Args:
        attempt: Whose.
        spool: Its folder, which the training could write to.
    """
    received = dict(Track.objects.filter(attempt=attempt).values_list("writer", "received"))
    with _opened(spool) as folder:
        for name in sorted(os.listdir(folder)) if folder is not None else []:
            writer = name.removesuffix(SUFFIX)
            if not name.endswith(SUFFIX) or not ingest.WRITER.fullmatch(writer):
                continue
            start = received.get(writer, 0)
            try:
                ingest.append(attempt, writer, start, _pieces(folder, name, start))
            except (BenchError, OSError) as error:
                logger.warning("the track %s of attempt %s is left as it is: %s", writer, attempt.pk, error)


@contextmanager
def _opened(spool: Path) -> Iterator[int | None]:
    """The folder of the tracks, or None where there is none; a link is none."""
    try:
        outer = os.open(spool, FOLDER)
    except OSError:
        yield None
        return
    try:
        folder = os.open("track", FOLDER, dir_fd=outer)
    except OSError:
        folder = None
    finally:
        os.close(outer)
    try:
        yield folder
    finally:
        if folder is not None:
            os.close(folder)


def _pieces(folder: int | None, name: str, start: int) -> Iterator[bytes]:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return
        file.seek(start)
        while piece := file.read(PIECE_BYTES):
            yield piece
