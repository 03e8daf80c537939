"""What is run and with what, as it is kept in a run's row."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from blake3 import blake3

from bench_server.code.services import COMMIT, check_pins
from bench_server.errors import invalid

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")

MAX_WORDS, MAX_VARIABLES = 1000, 1000
MAX_TEXT_BYTES = 1 << 16
"""Of the command, and of the environment. Linux takes 128 KiB in one word, and lists show both."""

MAX_LOCK_BYTES = 1 << 20
MAX_GPUS = 64
MAX_RETRIES = 100
DEFAULT_GRACE_SECONDS = 60

LARGEST = 1 << 53
"""Of a number: above, JSON readers elsewhere round."""


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """The RunSpec of the contract.

    Args:
        bundle_digest: The code's blob.
        datasets: Name and version number of each pinned dataset, by name.
        command: The program and its arguments.
        environment: Added to the container's.
        gpu_count: Whole GPUs.
        cpu_millis: Thousandths of a CPU; 0: all.
        memory_bytes: 0: what the server gives each run.
        grace_seconds: From SIGTERM to SIGKILL.
        limit_seconds: It is stopped after so long; 0: never.
        retry_count: New attempts after an end that is not the training's fault.
        project_version_number: That the code is from; 0: none.
        git_commit: That the code is from, hex.
        git_dirty: Whether the code had changes that are not in it.
        lock: The requirements, resolved; empty: not yet.

    Raises:
        Refused: FIELD_INVALID.
    """

    bundle_digest: str
    datasets: tuple[tuple[str, int], ...] = ()
    command: tuple[str, ...]
    environment: dict[str, str]
    gpu_count: int = 0
    cpu_millis: int = 0
    memory_bytes: int = 0
    grace_seconds: int = DEFAULT_GRACE_SECONDS
    limit_seconds: int = 0
    retry_count: int = 0
    project_version_number: int = 0
    git_commit: str = ""
    git_dirty: bool = False
    lock: str = ""

    def __post_init__(self) -> None:
        check_pins(self.datasets)
        self._check_command()
        self._check_environment()
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int and not 0 <= value <= _largest(field.name):
                raise invalid(field.name, f"{value} is not from 0 to {_largest(field.name):,}")
        if not COMMIT.fullmatch(self.git_commit):
            raise invalid("git_commit", f"{self.git_commit[:80]!r} is no hash: 40 or 64 hex digits")
        if len(self.lock.encode()) > MAX_LOCK_BYTES or "\0" in self.lock:
            raise invalid("lock", f"has more than {MAX_LOCK_BYTES:,} bytes, or one that is 0")

    def _check_command(self) -> None:
        if not self.command or not self.command[0] or len(self.command) > MAX_WORDS:
            raise invalid("command", f"must have 1 to {MAX_WORDS:,} words, and the first one names a program")
        _check_text("command", self.command)

    def _check_environment(self) -> None:
        if len(self.environment) > MAX_VARIABLES:
            raise invalid("environment", f"has more than {MAX_VARIABLES:,} variables")
        for name in self.environment:
            check_variable("environment", name)
        _check_text("environment", [*self.environment, *self.environment.values()])

    @property
    def digest(self) -> str:
        """Equal specs have equal ones."""
        return blake3(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """What a JSON column takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "RunSpec":
        """The spec of such a column."""
        lists = {
            "datasets": tuple((name, number) for name, number in value["datasets"]),
            "command": tuple(value["command"]),
        }
        return cls(**{**value, **lists})


def check_variable(field: str, name: str) -> None:
    """Whether runs may be given a variable of that name.

    Raises:
        Refused: FIELD_INVALID.
    """
    if not VARIABLE.fullmatch(name) or name.startswith("BENCH_"):
        raise invalid(
            field, f"{name[:80]!r} is no name: letters, digits and _, not a digit first, and not BENCH_..."
        )


def _check_text(field: str, texts: Iterable[str]) -> None:
    whole = "".join(texts)
    if "\0" in whole or len(whole.encode()) > MAX_TEXT_BYTES:
        raise invalid(field, f"has more than {MAX_TEXT_BYTES:,} bytes, or one that is 0")


def _largest(name: str) -> int:
    return {"gpu_count": MAX_GPUS, "retry_count": MAX_RETRIES}.get(name, LARGEST)
