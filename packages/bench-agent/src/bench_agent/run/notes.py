"""agent.log: what the agent itself has to say, for whoever looks for its errors."""

import contextlib
from datetime import datetime, timezone
from pathlib import Path

NOTES = "agent.log"

LIMIT_BYTES = 1 << 20
"""An agent that says the same for days must not fill the disk."""


class Notes:
    """Says things, one line each; the same thing once. Never raises: a full disk is silent.

    Args:
        spool: The attempt's spool folder.
    """

    def __init__(self, spool: Path) -> None:
        self._path = spool / NOTES
        self._last = ""

    def say(self, text: str) -> None:
        """Add a line."""
        if text == self._last:
            return
        self._last = text
        with contextlib.suppress(OSError), self._path.open("a") as file:
            if file.tell() < LIMIT_BYTES:
                file.write(f"{datetime.now(timezone.utc).isoformat(timespec='milliseconds')} {text}\n")
