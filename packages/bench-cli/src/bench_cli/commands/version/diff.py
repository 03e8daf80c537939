"""`bench version diff`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from bench_cli.command import command
from bench_cli.errors import CliError
from bench_cli.options import project_option
from bench_cli.output import Output

if TYPE_CHECKING:
    from bench_deploy import VersionDiff


@command(
    "diff", examples=["bench version diff", "bench version diff 3", "bench version diff 1 3"], shows=True
)
@click.argument("old", required=False, type=click.IntRange(1))
@click.argument("new", required=False, type=click.IntRange(1))
@project_option
def diff(output: Output, old: int | None, new: int | None, project: str | None) -> None:
    """Show what differs between two versions of a project.

    NEW is the latest version unless given, and OLD the one before it.
    """
    from dataclasses import asdict

    from bench_deploy import diff_versions

    from bench_cli.deployments import versions_of

    versions = versions_of(project)
    after = versions.get(new or 0)
    if after.version_number == 1 and old is None:
        raise CliError(
            "version 1 is the first: there is none before it", hint="Name two: bench version diff 1 2"
        )
    before = versions.get(old or after.version_number - 1)
    found = diff_versions(
        (before, versions.files(before.version_number)), (after, versions.files(after.version_number))
    )
    document = {
        "old": before.version_number,
        "new": after.version_number,
        "added": [file.path for file in found.added],
        "removed": [file.path for file in found.removed],
        "changed": [file.path for _, file in found.changed],
        "datasets": [asdict(change) for change in found.datasets],
    }
    nothing = f"Versions {before.version_number} and {after.version_number} are the same."
    output.result("\n".join(_lines(found)) or nothing, document)


def _lines(found: "VersionDiff") -> Iterator[str]:
    yield from (f"A  {file.path}" for file in found.added)
    yield from (f"D  {file.path}" for file in found.removed)
    yield from (f"M  {file.path}" for _, file in found.changed)
    for change in found.datasets:
        old, new = (f"version {number}" if number else "none" for number in (change.old, change.new))
        yield f"dataset {change.dataset}: {old} -> {new}"
