"""Finished chunks on their way to a server, for the processes that write them (FORMAT.md, section 8)."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CHUNKS_PER_WORKER = 2
"""So many may wait: enough that a worker goes on while its last chunk is on its way."""

LOOK_SECONDS = 0.05
"""Between two looks for room; a chunk takes longer to send."""


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """The folder that chunks are sent from.

    Args:
        folder: It exists. What lies in it is removed by the agent when the server has it.
        limit: Chunks in it at which no other one is begun.
    """

    folder: Path
    limit: int

    def place(self, temporary: Path, digest: str) -> None:
        """Hand over a finished chunk.

        Args:
            temporary: The file; it is moved.
            digest: Its BLAKE3, hex.
        """
        os.replace(temporary, self.folder / f"{digest}.zip")

    def wait_for_room(self, check: Callable[[], None] | None) -> None:
        """Return when a chunk may be begun.

        Args:
            check: Called meanwhile; what it raises ends the wait.
        """
        while len(os.listdir(self.folder)) >= self.limit:
            if check is not None:
                check()
            time.sleep(LOOK_SECONDS)
