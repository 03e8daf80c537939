"""`bench data delete`."""

import click

from bench_cli.command import command
from bench_cli.options import project_option, yes_option
from bench_cli.output import Output


@command(
    "delete",
    examples=["bench data delete train --version 2", "bench data delete train --yes"],
)
@click.argument("name")
@click.option("--version", metavar="N", type=click.IntRange(1), help="Version N; by default all of them.")
@project_option
@yes_option
def delete(output: Output, name: str, version: int | None, project: str | None, yes: bool) -> None:
    """Delete a dataset, or a version of it, on the server.

    Only an owner of the project may. Files on this machine stay.
    """
    from bench_cli import cloud
    from bench_cli.prompts import confirm
    from bench_cli.texts import count_text

    found = cloud.find_project(project)
    if version:
        numbers = [cloud.get_version(found, name, version).version_number]
        what = f"version {version} of {name}"
    else:
        numbers = [each.version_number for each in cloud.list_versions(found, name)]
        what = f"{name} with {count_text(len(numbers), 'version')}"
    confirm(f"Delete {what} from the project {found.name}?", yes=yes)
    for number in numbers:
        cloud.delete_version(found, name, number)
    output.result(f"Deleted {what} from the project {found.name}.", name=name)
