"""`bench secret delete`."""

import click

from bench_cli.command import command
from bench_cli.options import project_option, user_option, yes_option
from bench_cli.output import Output


@command("delete", examples=["bench secret delete WANDB_API_KEY", "bench secret delete HF_TOKEN --user"])
@click.argument("name")
@user_option
@project_option
@yes_option
def delete(output: Output, name: str, user: bool, project: str | None, yes: bool) -> None:
    """Delete a secret.

    Runs that have started keep it.
    """
    from bench_auth import call
    from bench_protos.runs.v1 import secrets_pb2 as pb

    from bench_cli import cloud
    from bench_cli.prompts import confirm

    found = cloud.find_project(project)
    whose = "your runs" if user else f"the runs of {found.name}"
    confirm(f"Delete the secret {name} of {whose}?", yes=yes)
    request = pb.DeleteSecretRequest(project_id=found.id, name=name, scope=cloud.secret_scope(user=user))
    call(cloud.secrets().DeleteSecret, request)
    output.result(f"Deleted the secret {name} of {whose}.", name=name)
