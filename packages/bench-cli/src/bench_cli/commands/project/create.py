"""`bench project create`."""

import click

from bench_cli.command import command
from bench_cli.output import Output


@command("create", examples=["bench project create catdog"], shows=True)
@click.argument("name")
def create(output: Output, name: str) -> None:
    """Make a project.

    It is empty; `bench startproject` makes one with the files of a new project.
    """
    from uuid import uuid4

    from bench_auth import call
    from bench_protos.projects.v1 import projects_pb2 as pb

    from bench_cli import cloud

    request = pb.CreateProjectRequest(request_id=str(uuid4()), name=name)
    project = call(cloud.projects().CreateProject, request).project
    text = f"Made the project {project.name}, id {project.id}."
    output.result(text, cloud.project_document(project), project.id)
