"""Runs the user's `Datasets/ProjectDatasets.py` in the project's interpreter, in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_auth.settings import ENDPOINT_VARIABLE
from bench_core import PROJECT_VARIABLE, ProjectSettings

from bench_deploy.errors import MigrateError, UserCodeError
from bench_deploy.versions import ProjectVersion

MODULE = "Datasets.ProjectDatasets"
FILE = "Datasets/ProjectDatasets.py"


@dataclass(frozen=True)
class ProcessedDatasets:
    """What the user's `main()` did.

    Args:
        versions: The version of each dataset that it processed; None in a dry run.
        fingerprints: Of their content; empty if a dry run cannot know.
        missing: What of a source is not on this machine, where that ended it, and where in the user's files.
    """

    versions: dict[str, int | None] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    missing: str | None = None


def project_python(folder: Path, project: ProjectSettings) -> str:
    """The interpreter of a project's code.

    Args:
        folder: The project's folder.
        project: Its `python` wins; then the active environment's; then the one that runs this.

    Raises:
        MigrateError: There is none where `bench.toml` says.
    """
    if project.python is not None:
        is_path = os.sep in project.python
        named = str(folder / Path(project.python).expanduser()) if is_path else project.python
        found = shutil.which(named)
        if found is None:
            raise MigrateError(
                f"bench.toml says python = {project.python!r}, and there is no such program",
                hint="Mend it there, or remove the line to use the active environment.",
            )
        return found
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        active = Path(os.environ.get(variable, "")) / "bin" / "python"
        if os.environ.get(variable) and active.exists():
            return str(active)
    return sys.executable


def process_user_datasets(
    folder: Path,
    project: ProjectSettings,
    latest: ProjectVersion | None,
    *,
    python: str,
    endpoint: str | None,
    dry_run: bool,
) -> ProcessedDatasets:
    """Run `main()` of the project's datasets; what it says goes to standard error.

    Args:
        folder: The project's folder.
        project: Its settings.
        latest: Its latest version: what that pins need not be sent.
        python: The interpreter.
        endpoint: The server that datasets go to; None: that of the login.
        dry_run: Only find out what would be written.

    Raises:
        UserCodeError: The user's code failed.
        MigrateError: It could not be run.
    """
    environment = {**os.environ, PROJECT_VARIABLE: project.id, "PYTHONUNBUFFERED": "1"}
    if endpoint:
        environment[ENDPOINT_VARIABLE] = endpoint
    pins = [pin for pin in latest.datasets if not pin.is_deleted] if latest else []
    with tempfile.TemporaryDirectory(prefix="bench-migrate-") as scratch, _lifeline() as lifeline:
        report, order_file = Path(scratch) / "report", Path(scratch) / "order"
        order = {
            "folder": str(folder),
            "module": MODULE,
            "report": str(report),
            "dry_run": dry_run,
            "lifeline": lifeline,
            "versions": {pin.dataset: [pin.version_number, pin.fingerprint] for pin in pins},
        }
        order_file.write_text(json.dumps(order), "utf-8")
        command = [python, "-m", "bench_data.run_main", str(order_file)]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=2,
                pass_fds=[lifeline],
            )
        except OSError as error:
            raise MigrateError(f"{python}: {error.strerror}") from error
        events = _events(report)
    return _outcome(events, done.returncode, python, dry_run=dry_run)


@contextmanager
def _lifeline() -> Iterator[int]:
    """The end of a pipe for a process to follow: the other closes with this one, whatever ends it."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


def _events(report: Path) -> list[dict[str, Any]]:
    if not report.exists():
        return []
    lines = report.read_text("utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]  # of a killed process the last is none


def _outcome(
    events: list[dict[str, Any]], exit_code: int, python: str, *, dry_run: bool
) -> ProcessedDatasets:
    if exit_code == 130:
        raise KeyboardInterrupt
    if not events:
        raise MigrateError(
            f"{python} cannot run bench-data ({exit_code})",
            hint="Install Bench there, or name another interpreter with `python` in bench.toml.",
        )
    last = events[-1]
    if last["event"] == "error":
        raise UserCodeError(_with_traceback(last), hint=last["hint"])
    if last["event"] not in ("done", "missing"):
        raise MigrateError(
            f"the process that ran {FILE} was ended from outside ({exit_code})",
            hint="-9 is often the system, out of memory. The same call goes on from there.",
        )
    done = [event for event in events if event["event"] == "dataset"]
    for event in done:
        if event["version_number"] is None and not dry_run:
            raise MigrateError(
                f"{event['name']} was not uploaded", hint=f"Is all of Bench installed in {python}?"
            )
    is_missing = last["event"] == "missing"
    return ProcessedDatasets(
        {event["name"]: event["version_number"] for event in done},
        {event["name"]: event["fingerprint"] for event in done},
        missing=_with_traceback(last) if is_missing else None,
    )


def _with_traceback(event: dict[str, Any]) -> str:
    return f"{FILE}: {event['message']}\n{event['traceback']}".rstrip()
