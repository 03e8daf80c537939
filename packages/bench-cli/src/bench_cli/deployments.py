"""The versions of a project, as documents."""

from dataclasses import asdict
from typing import Any

from bench_core import ProjectSettings
from bench_deploy import ProjectVersion, ProjectVersions

from bench_cli import cloud


def versions_of(flag: str | None) -> ProjectVersions:
    """The versions of the project that a command is about.

    Args:
        flag: As for `cloud.find_project`.
    """
    project = cloud.find_project(flag)
    return ProjectVersions(ProjectSettings(id=project.id, name=project.name), cloud.endpoint())


def version_document(version: ProjectVersion) -> dict[str, Any]:
    """A version of a project for --json."""
    return {
        **asdict(version),
        "datasets": [asdict(pin) for pin in version.datasets],
        "git_commit": version.git_commit or None,
        "creator": version.creator or None,
        "create_time": version.create_time.isoformat(timespec="seconds"),
    }
