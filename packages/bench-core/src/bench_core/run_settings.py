"""The section `[run]` of `bench.toml`: how the project is trained."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench_core.errors import ProjectFileError
from bench_core.values import check_bytes, check_count, check_environment, check_positive, check_texts

LAUNCHERS = ("", "torchrun", "accelerate")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How a project is trained, unless `bench run` says otherwise.

    Args:
        command: The program and its arguments; a text is split as a shell would, without being one.
        launcher: "torchrun" or "accelerate" starts one process per GPU; "": the command is started as it is.
        gpus: GPUs of the run.
        cpus: CPUs of the run, such as 2 or 0.5; None: all that the machine shares out.
        memory: Its memory, such as "16GB" or "512MiB"; None: what the machine shares out. See `memory_bytes`.
        grace_seconds: Between SIGTERM and SIGKILL when the run is stopped.
        max_hours: It is stopped after so long; None: never.
        retry: So often it is started again, where the failure was not the user's.
        environment: Variables of the run. It is in the file for all to read: no secrets.

    Raises:
        ProjectFileError: A value cannot be.
    """

    command: tuple[str, ...] = ("python", "TrainScript.py")
    launcher: str = ""
    gpus: int = 0
    cpus: float | None = None
    memory: str | None = None
    grace_seconds: int = 60
    max_hours: float | None = None
    retry: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "command", _command(self.command))
        if self.launcher not in LAUNCHERS:
            raise ProjectFileError(
                f"launcher is {self.launcher!r}", hint='It can be "torchrun", "accelerate" or "".'
            )
        for name in ("gpus", "grace_seconds", "retry"):
            check_count(name, getattr(self, name))
        for name in ("cpus", "max_hours"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name))
        if self.memory is not None:
            check_bytes("memory", self.memory)
        object.__setattr__(self, "environment", check_environment("environment", self.environment))

    @property
    def memory_bytes(self) -> int | None:
        """`memory` in bytes."""
        return None if self.memory is None else check_bytes("memory", self.memory)


def _command(given: Any) -> tuple[str, ...]:
    try:
        words = shlex.split(given) if isinstance(given, str) else given
    except ValueError as error:
        raise ProjectFileError(f"command is {given!r}: {error}", hint="Mend its quotes.") from None
    command = check_texts("command", words)
    if not command:
        raise ProjectFileError("command is empty", hint='Such as command = "python TrainScript.py".')
    return command
