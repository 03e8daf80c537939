"""`bench version show`."""

import click

from bench_cli.command import command
from bench_cli.commands.version.list import commit_text, pins_text
from bench_cli.options import project_option
from bench_cli.output import Column, Output
from bench_cli.texts import count_text, size_text, time_text

LINES = [
    Column("Version", lambda version: str(version["version_number"])),
    Column("Made", lambda version: time_text(version["create_time"])),
    Column("By", lambda version: version["creator"] or "an account that is gone"),
    Column("Message", lambda version: version["message"] or "none"),
    Column("Commit", lambda version: commit_text(version) or "none"),
    Column("Datasets", lambda version: pins_text(version) or "none"),
    Column(
        "Code",
        lambda version: f"{count_text(version['file_count'], 'file')}, {size_text(version['bundle_bytes'])}",
    ),
    Column("Files", lambda version: "".join(f"\n  {file['path']}" for file in version["files"])),
]


@command("show", examples=["bench version show", "bench version show 3 --json"], shows=True)
@click.argument("number", required=False, type=click.IntRange(1))
@project_option
def show(output: Output, number: int | None, project: str | None) -> None:
    """Show a version of a project, with its files.

    NUMBER is that of the version; by default the latest. A + at the commit: the code had other changes.
    """
    from dataclasses import asdict

    from bench_cli.deployments import version_document, versions_of

    versions = versions_of(project)
    found = versions.get(number or 0)
    files = [
        {**asdict(file), "kind": file.kind.name.lower()} for file in versions.files(found.version_number)
    ]
    output.record({**version_document(found), "files": files}, LINES, str(found.version_number))
