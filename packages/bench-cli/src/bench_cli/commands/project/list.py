"""`bench project list`."""

from bench_cli.command import command
from bench_cli.output import Column, Output
from bench_cli.texts import size_text, time_text

COLUMNS = [
    Column("NAME", lambda project: project["name"]),
    Column("ROLE", lambda project: project["role"]),
    Column("SIZE", lambda project: size_text(project["stored_bytes"]), right=True),
    Column("MADE", lambda project: time_text(project["create_time"])),
    Column("ID", lambda project: project["id"]),
]


@command("list", examples=["bench project list", "bench project list --json"], shows=True)
def list_(output: Output) -> None:
    """List your projects."""
    from bench_cli import cloud

    found = [cloud.project_document(project) for project in cloud.list_projects()]
    output.table(found, COLUMNS, empty="You are in no project. Make one: bench project create NAME")
