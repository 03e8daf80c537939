"""`bench project members`."""

import click

from bench_cli.command import command
from bench_cli.lazy import Entry, LazyGroup
from bench_cli.options import project_option, yes_option
from bench_cli.output import Column, Output
from bench_cli.texts import time_text

COLUMNS = [
    Column("NAME", lambda member: member["username"]),
    Column("ROLE", lambda member: member["role"]),
    Column("SINCE", lambda member: time_text(member["create_time"])),
]

ROLE = click.Choice(["member", "owner"])

members = LazyGroup(
    name="members",
    help="Who is in a project.",
    entries={
        "list": Entry("project.members:list_", "List the members of a project."),
        "add": Entry("project.members:add", "Make a user a member of a project."),
        "remove": Entry("project.members:remove", "End a membership."),
        "role": Entry("project.members:role", "Give a member another role."),
    },
)


@command(
    "list", examples=["bench project members list", "bench project members list --project catdog"], shows=True
)
@project_option
def list_(output: Output, project: str | None) -> None:
    """List the members of a project."""
    from bench_cli import cloud

    found = [cloud.member_document(member) for member in cloud.list_members(cloud.find_project(project))]
    output.table(found, COLUMNS, empty="The project has no members.")


@command("add", examples=["bench project members add bob", "bench project members add bob --role owner"])
@click.argument("username")
@click.option("--role", type=ROLE, default="member", show_default=True, help="What they may do.")
@project_option
def add(output: Output, username: str, role: str, project: str | None) -> None:
    """Make a user a member of a project.

    The user needs an account: `bench server invite` makes an invitation. Owners manage members.
    """
    _set(output, username, role, project)


@command("role", examples=["bench project members role bob owner"])
@click.argument("username")
@click.argument("role", type=ROLE)
@project_option
def role(output: Output, username: str, role: str, project: str | None) -> None:
    """Give a member another role.

    An owner manages members, and may delete the project.
    """
    from bench_cli import cloud
    from bench_cli.errors import CliError

    found = cloud.find_project(project)
    if username.lower() not in [member.username.lower() for member in cloud.list_members(found)]:
        raise CliError(
            f"{username} is no member of {found.name}", hint=f"Add them: bench project members add {username}"
        )
    _set(output, username, role, found.id)


@command("remove", examples=["bench project members remove bob", "bench project members remove bob --yes"])
@click.argument("username")
@project_option
@yes_option
def remove(output: Output, username: str, project: str | None, yes: bool) -> None:
    """End a membership.

    You may leave a project by yourself, as long as another owner stays.
    """
    from bench_auth import call
    from bench_protos.projects.v1 import projects_pb2 as pb

    from bench_cli import cloud
    from bench_cli.prompts import confirm

    found = cloud.find_project(project)
    confirm(f"Remove {username} from the project {found.name}?", yes=yes)
    call(cloud.projects().RemoveMember, pb.RemoveMemberRequest(project_id=found.id, username=username))
    output.result(f"{username} is no member of {found.name} any more.", name=username)


def _set(output: Output, username: str, role: str, project: str | None) -> None:
    from bench_auth import call
    from bench_protos.projects.v1 import projects_pb2 as pb

    from bench_cli import cloud

    found = cloud.find_project(project)
    request = pb.SetMemberRequest(project_id=found.id, username=username, role=cloud.ROLES[role])
    member = call(cloud.projects().SetMember, request).member
    output.result(
        f"{member.username} is {'an owner' if role == 'owner' else 'a member'} of {found.name}.",
        name=member.username,
    )
