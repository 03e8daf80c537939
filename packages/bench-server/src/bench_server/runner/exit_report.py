"""`exit.json`: the agent's word on how the training ended.

The training may have written it itself: nothing in it is trusted.
"""

import datetime
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_BYTES = 64 << 10


@dataclass(frozen=True, kw_only=True)
class ExitReport:
    """How the training ended, as the agent saw it.

    Args:
        exit_code: None where a signal ended it, or it never started.
        signal: The signal that ended it.
        received_sigterm: Whether the agent was told to end.
        error: Why the command could not be started; empty if it could.
        oom_kills: How many processes the kernel killed for their memory.
        free_bytes: What was free at the end, by place.
        start_time: When the training began, UTC.
        end_time: When it ended, UTC.
    """

    exit_code: int | None
    signal: int | None = None
    received_sigterm: bool = False
    error: str = ""
    oom_kills: int = 0
    free_bytes: dict[str, int] = field(default_factory=dict)
    start_time: datetime.datetime | None = None
    end_time: datetime.datetime | None = None


def read_report(path: Path) -> ExitReport | None:
    """The report in a file; None if there is none, or it is not one."""
    data = read_small(path, MAX_BYTES)
    try:
        return _parse(json.loads(data)) if data is not None else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def read_small(path: Path, most: int) -> bytes | None:
    """A file's bytes; None if there is none, it has more, or it is a link or no plain file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        return file.read(most) if stat.S_ISREG(found.st_mode) and found.st_size <= most else None


def _parse(fields: dict[str, Any]) -> ExitReport:
    exit_code, number = fields["exit_code"], fields["signal"]
    return ExitReport(
        exit_code=None if exit_code is None else int(exit_code) & 0xFF,
        signal=None if number is None else int(number) & 0x7F,
        received_sigterm=bool(fields["received_sigterm"]),
        error=str(fields["error"] or "")[:1000],
        oom_kills=int(fields["oom_kills"]),
        free_bytes={str(place)[:50]: int(free) for place, free in list(fields["free_bytes"].items())[:10]},
        start_time=_time(fields["start_time"]),
        end_time=_time(fields["end_time"]),
    )


def _time(text: str | None) -> datetime.datetime | None:
    if text is None:
        return None
    found = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=datetime.timezone.utc)
