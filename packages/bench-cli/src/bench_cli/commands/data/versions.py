"""`bench data versions`."""

import click

from bench_cli.command import command
from bench_cli.options import project_option
from bench_cli.output import Column, Output
from bench_cli.texts import size_text, time_text

COLUMNS = [
    Column("VERSION", lambda version: str(version["version_number"]), right=True),
    Column("SAMPLES", lambda version: f"{version['sample_count']:,}", right=True),
    Column("SIZE", lambda version: size_text(version["stored_bytes"]), right=True),
    Column("MADE", lambda version: time_text(version["create_time"])),
    Column("BY", lambda version: version["creator"] or ""),
    Column("FINGERPRINT", lambda version: version["fingerprint"][:12]),
]


@command("versions", examples=["bench data versions train", "bench data versions train --json"], shows=True)
@click.argument("name")
@project_option
def versions(output: Output, name: str, project: str | None) -> None:
    """List the versions of a dataset on the server."""
    from bench_cli import cloud

    found = cloud.list_versions(cloud.find_project(project), name)
    documents = [cloud.version_document(version) for version in found]
    output.table(documents, COLUMNS, empty=f"{name} has no version.")
