"""SIGTERM in the worker of a loader.

Launchers (torchrun, Slurm, systemd) send it to every process of a training. The training process may go on to
its next checkpoint, for which it needs batches: a worker that ended at once would end it by an error.
"""

import os
import signal
import time
from functools import cache
from types import FrameType

TOGETHER_SECONDS = 2.0
"""Signals so close are one: a cluster manager signals all processes, and torchrun hands its own on."""

HANGING_SECONDS = 600
"""Longer than their grace. Then a worker ends that hangs, and whose loader terminated it twice at once."""


@cache
def outlive_sigterm() -> None:
    """From now on the first SIGTERM does nothing, and another, after TOGETHER_SECONDS, ends this worker.

    A loader that is closed asks its workers by other means, and terminates one that hangs twice: itself, and
    at the end of its process.
    """
    first: list[float] = []

    def come(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not first:
            first.append(now)
        elif now - first[0] < TOGETHER_SECONDS:
            signal.alarm(HANGING_SECONDS)
        else:
            os._exit(0)

    signal.signal(signal.SIGTERM, come)
