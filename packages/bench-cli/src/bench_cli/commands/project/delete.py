"""`bench project delete`."""

import click

from bench_cli.command import command
from bench_cli.options import yes_option
from bench_cli.output import Output


@command("delete", examples=["bench project delete catdog", "bench project delete catdog --yes"])
@click.argument("name")
@yes_option
def delete(output: Output, name: str, yes: bool) -> None:
    """Delete a project and all that is in it.

    NAME is its name or id. Only an owner of the project may. Files on this machine stay.
    """
    from bench_auth import call
    from bench_protos.projects.v1 import projects_pb2 as pb

    from bench_cli import cloud
    from bench_cli.prompts import confirm
    from bench_cli.texts import count_text, size_text

    project = cloud.find_project(name)
    held = f"{count_text(len(cloud.list_datasets(project)), 'dataset')}, {size_text(project.stored_bytes)}"
    confirm(f"Delete the project {project.name} ({held}) for all its members?", yes=yes)
    call(cloud.projects().DeleteProject, pb.DeleteProjectRequest(project_id=project.id))
    output.result(f"Deleted the project {project.name}.", name=project.id)
