"""attempt.json: what the agent is to do (docs/runs.md)."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bench_agent.errors import AttemptFileError

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt of a run.

    Args:
        run_id: The run.
        attempt: Its number, from 1.
        command: The training's program and arguments.
        work: The working directory.
        spool: The folder of the output, exit.json and agent.log.
        private: The folder of the token and the secrets.
        environment: Variables beside those of the container.
        socket: Where the server listens.
        grace_seconds: Between SIGTERM and SIGKILL.
        log_quota_bytes: What the server keeps of the output.
    """

    run_id: str
    attempt: int
    command: list[str]
    work: str
    spool: str
    private: str
    environment: dict[str, str]
    socket: str
    grace_seconds: float
    log_quota_bytes: int

    def __post_init__(self) -> None:
        if not self.command or not all(isinstance(word, str) for word in self.command):
            raise AttemptFileError(f"command is {self.command!r}, and must be a program and its arguments")
        if not all(isinstance(value, str) for value in self.environment.values()):
            raise AttemptFileError("environment has a value that is no text")
        for name in ("grace_seconds", "log_quota_bytes"):
            if getattr(self, name) < 0:
                raise AttemptFileError(f"{name} is {getattr(self, name)}, and must not be less than 0")


def read_attempt(path: Path) -> Attempt:
    """Read an attempt.json.

    Raises:
        AttemptFileError: It cannot be read, or says what it cannot.
    """
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise AttemptFileError(f"{path} cannot be read: {error}") from None
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise AttemptFileError(
            f"{path} is not of version {VERSION}", hint="Update the older of the image and the server."
        )
    values: dict[str, Any] = {}
    for field in fields(Attempt):
        if field.name not in document:
            raise AttemptFileError(f"{path} has no {field.name}")
        values[field.name] = _typed(field.name, document[field.name])
    return Attempt(**values)


_KINDS: dict[str, type | tuple[type, ...]] = {
    "attempt": int,
    "command": list,
    "environment": dict,
    "grace_seconds": (int, float),
    "log_quota_bytes": int,
}
"""Of the fields that are no texts."""


def _typed(name: str, value: Any) -> Any:
    if not isinstance(value, _KINDS.get(name, str)):
        raise AttemptFileError(f"{name} is {value!r}, which is of another kind")
    return value
