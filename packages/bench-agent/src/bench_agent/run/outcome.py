"""exit.json: how the training ended (docs/runs.md)."""

import contextlib
import errno
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from bench_core import atomic_write

from bench_agent.run.cgroup import oom_kills
from bench_agent.run.training import Ended

EXIT = "exit.json"
RESERVE = ".exit.json.reserve"

RESERVE_BYTES = 4096


class Outcome:
    """Made before the training starts: keeps room for its end on a disk that the training may fill.

    Args:
        spool: The attempt's spool folder.
        folders: Those whose free room is said, by the name it is said under.
    """

    def __init__(self, spool: Path, folders: Mapping[str, str]) -> None:
        self._spool = spool
        self._folders = folders
        self._oom_kills = oom_kills()
        (spool / RESERVE).write_bytes(os.urandom(RESERVE_BYTES))  # no file system stores that as nothing

    def write(self, ended: Ended, spool_bytes: int) -> None:
        """Write exit.json.

        Args:
            ended: How the training ended.
            spool_bytes: What it has written.

        Raises:
            OSError: It cannot be written.
        """
        document = {
            "version": 1,
            **asdict(ended),
            "free_bytes": _free_bytes(self._folders),
            "oom_kills": oom_kills() - self._oom_kills,
            "spool_bytes": spool_bytes,
        }
        data = json.dumps(document, default=datetime.isoformat).encode()
        try:
            atomic_write(self._spool / EXIT, data)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            (self._spool / RESERVE).unlink()
            atomic_write(self._spool / EXIT, data)
        (self._spool / RESERVE).unlink(missing_ok=True)


def _free_bytes(folders: Mapping[str, str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, folder in folders.items():
        with contextlib.suppress(OSError):
            status = os.statvfs(folder)
            found[name] = status.f_bavail * status.f_frsize
    return found
