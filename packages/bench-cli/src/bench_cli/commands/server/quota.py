"""`bench server quota`."""

from dataclasses import asdict
from pathlib import Path

import click

from bench_cli.command import command
from bench_cli.commands.server.folder import data_option
from bench_cli.output import Column, Output
from bench_cli.texts import limit_text, size_text

COLUMNS = [
    Column("PROJECT", lambda project: project["name"]),
    Column("TAKES", lambda project: size_text(project["stored_bytes"]), right=True),
    Column("MAY TAKE", lambda project: limit_text(project["quota_bytes"])),
    Column("MADE BY", lambda project: project["creator"] or ""),
    Column("ID", lambda project: project["project_id"]),
]


@command(
    "quota",
    examples=["bench server quota", "bench server quota 0192f0c1-7a3b-7c55-9d2e-0f6b1c2d3e4f 20GB"],
    shows=True,
)
@click.argument("project_id", required=False)
@click.argument("size", required=False)
@data_option
def quota(output: Output, project_id: str | None, size: str | None, data: Path) -> None:
    """List what projects take and may take, or set a limit.

    SIZE is such as 500MB, 20GB or 1.5TB; 0 is no limit but the disk's.
    """
    from bench_server import operations

    if project_id and not size:
        raise click.UsageError("no size is given")
    if project_id and size:
        try:
            operations.set_quota(data, project_id, operations.parse_size(size))
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    documents = [asdict(project) for project in operations.list_quotas(data)]
    for document in documents:
        document["quota_bytes"] = document["quota_bytes"] or None
    output.table(documents, COLUMNS, empty="There is no project.")
