"""Which engine this server's runs have."""

import os
from dataclasses import dataclass
from pathlib import Path

from bench_deploy.engine import Engine
from bench_deploy.errors import EngineError

from bench_server.listening import EXPOSED_VARIABLE

ENGINE_VARIABLE = "BENCH_ENGINE"
"""Set to "docker" or "process", it is that one or none; else Docker where it answers."""


@dataclass(frozen=True)
class Missing:
    """That runs have no engine.

    Args:
        message: Why.
        hint: What to do about it.
    """

    message: str
    hint: str


def choose(data: Path, *, needed: str = "") -> Engine | Missing:
    """The engine.

    Args:
        data: The server's folder.
        needed: The engine that attempts run on already; it is kept, also while it is away.
    """
    wanted = needed or os.environ.get(ENGINE_VARIABLE, "")
    if wanted not in ("", "docker", "process"):
        return Missing(f"{ENGINE_VARIABLE} is {wanted!r}", 'It can be "docker" or "process".')
    if wanted == "process":
        return _process(data)
    from bench_deploy.engine.docker import DockerEngine

    try:
        engine = DockerEngine()
        if not needed:
            engine.list("bench.server", "")  # whether it answers
    except EngineError as error:
        other = _process(data) if not wanted else None
        if other is None or isinstance(other, Missing):
            return Missing(error.message, error.hint or "Start Docker.")
        return other
    return engine


def _process(data: Path) -> Engine | Missing:
    from bench_deploy.engine.process import ProcessEngine

    from bench_server.accounts.models import User

    if os.environ.get(EXPOSED_VARIABLE) or User.objects.count() > 1:
        return Missing(
            "without Docker, runs are processes of the server's own user: one account, on this machine only",
            "Start Docker.",
        )
    return ProcessEngine(data / "processes")
