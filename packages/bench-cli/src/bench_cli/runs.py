"""The runs of a project, as documents."""

from dataclasses import asdict
from datetime import datetime
from math import isfinite
from typing import Any

from bench_auth import NotFoundError
from bench_core import ProjectSettings
from bench_deploy import Artifact, Attempt, Checkpoint, ProjectRuns, ProjectTracks, Run, Series

from bench_cli import cloud
from bench_cli.errors import CliError


def runs_of(flag: str | None) -> ProjectRuns:
    """The runs of the project that a command is about.

    Args:
        flag: As for `cloud.find_project`.
    """
    project = cloud.find_project(flag)
    return ProjectRuns(ProjectSettings(id=project.id, name=project.name), cloud.endpoint())


def tracks_of(flag: str | None) -> ProjectTracks:
    """What the runs of the project that a command is about said of themselves.

    Args:
        flag: As for `cloud.find_project`.
    """
    project = cloud.find_project(flag)
    return ProjectTracks(ProjectSettings(id=project.id, name=project.name), cloud.endpoint())


def find_run(runs: ProjectRuns, given: str | None) -> Run:
    """The run that a command is about.

    Args:
        runs: Of the project.
        given: Its name, its id or the beginning of that; None: the latest run.

    Raises:
        CliError: There is none.
    """
    if given is None:
        latest = runs.latest()
        if latest is None:
            raise CliError("the project has no run yet", hint="Make one: bench run")
        return latest
    try:
        return runs.get(given)
    except NotFoundError as error:
        if error.reason != "RUN_NOT_FOUND":
            raise
        raise CliError(f"the project has no run {given!r}", hint="`bench runs list` shows them.") from None


def run_document(run: Run) -> dict[str, Any]:
    """A run for --json."""
    last = run.last_attempt
    spec = {
        **asdict(run.spec),
        "datasets": [
            {name: getattr(pin, name) for name in ("dataset", "version_number", "fingerprint")}
            for pin in run.datasets
        ],
        "git_commit": run.spec.git_commit or None,
        "project_version_number": run.spec.project_version_number or None,
    }
    del spec["lock"]
    return {
        "run_id": run.run_id,
        "name": run.name,
        "state": run.state.name.lower(),
        "reason": last.reason or None,
        "message": last.message or None,
        "waiting_for": last.waiting_for or None,
        "exit_code": last.exit_code,
        "tags": list(run.tags),
        "group": run.group or None,
        "parent_run_id": run.parent_run_id or None,
        "creator": run.creator or None,
        "create_time": _iso(run.create_time),
        "spec": spec,
        "attempts": [_attempt_document(attempt) for attempt in run.attempts],
    }


def artifact_document(artifact: Artifact) -> dict[str, Any]:
    """A file that a run left, for --json."""
    return {**asdict(artifact), "modify_time": _iso(artifact.modify_time)}


def series_document(series: Series) -> dict[str, Any]:
    """A series, for --json, which has no infinities."""
    numbers = {name: getattr(series, name) for name in ("last", "min", "max")}
    finite = {
        name: value if value is not None and isfinite(value) else None for name, value in numbers.items()
    }
    return {**asdict(series), **finite, "last_time": _iso(series.last_time)}


def checkpoint_document(checkpoint: Checkpoint) -> dict[str, Any]:
    """A checkpoint, for --json."""
    times = ("write_time", "create_time")
    return {
        **asdict(checkpoint),
        "place": checkpoint.place.name.lower(),
        **{name: _iso(getattr(checkpoint, name)) for name in times},
    }


def _attempt_document(attempt: Attempt) -> dict[str, Any]:
    texts = ("reason", "message", "waiting_for", "image_id", "engine", "stopper")
    times = ("create_time", "start_time", "end_time", "last_contact_time")
    document = {
        **asdict(attempt),
        "state": attempt.state.name.lower(),
        **{name: getattr(attempt, name) or None for name in texts},
        **{name: _iso(getattr(attempt, name)) for name in times},
    }
    del document["lock"]
    return document


def _iso(time: datetime | None) -> str | None:
    return time.isoformat(timespec="seconds") if time else None
