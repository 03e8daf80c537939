"""What runs were made of and what came of them, side by side. Pure."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench_server.runs.models import Run
from bench_server.runs.spec import RunSpec

LEVELS = 4
"""Of nested configs, that are shown apart; what is deeper is shown as it is."""


@dataclass(frozen=True)
class Difference:
    """One thing that runs were made of, or that came of them.

    Args:
        name: Of it.
        values: What each run had, as text; None: nothing.
    """

    name: str
    values: list[str | None]

    @property
    def differs(self) -> bool:
        """Whether not all are the same."""
        return len(set(self.values)) > 1


def compare(runs: Sequence[Run]) -> list[Difference]:
    """All that came of the runs and that they were made of, in the order in which it is first met."""
    facts = [dict(_facts(run)) for run in runs]
    names = dict.fromkeys(name for found in facts for name in found)
    return [Difference(name, [found.get(name) for found in facts]) for name in names]


def flat(name: str, value: Any, levels: int = LEVELS) -> Iterator[tuple[str, str]]:
    """A config's values with their names: `model.width`."""
    if isinstance(value, dict) and value and levels:
        for key, part in value.items():
            yield from flat(f"{name}.{key}" if name else str(key), part, levels - 1)
    elif isinstance(value, str):
        yield name, value
    else:
        yield name, json.dumps(value, ensure_ascii=False)


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    spec = RunSpec.from_json(run.spec)
    for name, value in flat("", run.summary) if run.summary else ():
        yield f"summary {name}", value
    if run.config:
        yield from flat("", run.config)
    yield "command", " ".join(spec.command)
    for name, value in sorted(spec.environment.items()):
        yield f"${name}", value
    for pin in sorted(run.pins.all(), key=lambda pin: pin.dataset):
        yield f"dataset {pin.dataset}", f"version {pin.number}"
    if spec.project_version_number:
        yield "code version", str(spec.project_version_number)
    if spec.git_commit:
        yield "git commit", spec.git_commit[:12] + (" with changes" if spec.git_dirty else "")
    for name, number in (("GPUs", spec.gpu_count), ("CPU thousandths", spec.cpu_millis)):
        if number:
            yield name, f"{number:,}"
    if spec.memory_bytes:
        yield "memory bytes", f"{spec.memory_bytes:,}"
