"""What the runner says of its machine, for those who submit: `runs/machine.json` in the server's folder.

Where there is no runner there is no such file, and runs wait.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench_core import atomic_write

from bench_server.runs.engines import Missing
from bench_server.runs.machine import Machine, Wish, never


def announce(folder: Path, found: Machine | Missing) -> None:
    """Say what runs have, or why there can be none.

    Args:
        folder: `runs` in the server's folder.
        found: The machine, or that it has no engine.
    """
    kind = "missing" if isinstance(found, Missing) else "machine"
    fields = asdict(found)
    if isinstance(found, Machine):
        fields["foreign_gpus"] = sorted(found.foreign_gpus)
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    atomic_write(folder / "machine.json", json.dumps({kind: fields}).encode())


def engine_problem(folder: Path) -> Missing | None:
    """Why nothing here can run a run; None if something can, or there is no runner to know."""
    fields = _read(folder).get("missing")
    return Missing(**fields) if fields else None


def never_here(folder: Path, wish: Wish) -> str:
    """Why the machine can never run this; empty if it can, or there is no runner to know."""
    fields = _read(folder).get("machine")
    if not fields:
        return ""
    lists = {"gpus": tuple(fields["gpus"]), "foreign_gpus": frozenset(fields["foreign_gpus"])}
    return never(Machine(**{**fields, **lists}), wish)


def _read(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / "machine.json").read_bytes())
        return found
    except (FileNotFoundError, ValueError):
        return {}
