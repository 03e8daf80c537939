"""`bench project show`."""

import click

from bench_cli.command import command
from bench_cli.output import Column, Output
from bench_cli.texts import limit_text, size_text, time_text

LINES = [
    Column("Name", lambda project: project["name"]),
    Column("Id", lambda project: project["id"]),
    Column("Your role", lambda project: project["role"]),
    Column("Made", lambda project: time_text(project["create_time"])),
    Column("Size", lambda project: size_text(project["stored_bytes"])),
    Column("May take", lambda project: limit_text(project["quota_bytes"])),
    Column("Members", lambda project: ", ".join(member["username"] for member in project["members"])),
    Column("Datasets", lambda project: ", ".join(project["datasets"]) or "none"),
]


@command("show", examples=["bench project show", "bench project show catdog --json"], shows=True)
@click.argument("name", required=False)
def show(output: Output, name: str | None) -> None:
    """Show a project.

    NAME is its name or id; by default that of this folder.
    """
    from bench_cli import cloud

    project = cloud.find_project(name)
    members = [cloud.member_document(member) for member in cloud.list_members(project)]
    datasets = [dataset.name for dataset in cloud.list_datasets(project)]
    document = {**cloud.project_document(project), "members": members, "datasets": datasets}
    output.record(document, LINES, project.id)
