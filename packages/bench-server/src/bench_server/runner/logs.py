"""The last bytes of an attempt's log: what its agent did not send, from the spool on this machine's disk."""

import os
import stat
from collections.abc import Iterator

from bench_server.runner.launch import Launch
from bench_server.runs import log_store
from bench_server.runs.models import Attempt

PIECE_BYTES = 1 << 20
LONGEST_SECRET_BYTES = 64 << 10


def drain(attempt: Attempt, launch: Launch) -> None:
    """Store what the spool has behind the stored log, masked as the agent would have."""
    begin = max(0, log_store.received(attempt) - LONGEST_SECRET_BYTES)  # what is stored may end in one
    log_store.append(attempt, begin, launch.mask(_pieces(launch, begin)))
    log_store.finish(attempt)


def _pieces(launch: Launch, begin: int) -> Iterator[bytes]:
    try:
        descriptor = os.open(launch.host.spool / "output", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return
        file.seek(begin)
        while piece := file.read(PIECE_BYTES):
            yield piece
