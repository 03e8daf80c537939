"""`bench secret set`."""

import click

from bench_cli.command import command
from bench_cli.options import project_option, user_option
from bench_cli.output import Output


@command(
    "set",
    examples=[
        "bench secret set WANDB_API_KEY",
        "bench secret set HF_TOKEN --user < token.txt",
        "bench secret set GOOGLE_APPLICATION_CREDENTIALS --file < key.json",
    ],
)
@click.argument("name")
@user_option
@click.option("--file", is_flag=True, help="Runs get it as a file, whose path is in the variable.")
@project_option
def set_(output: Output, name: str, user: bool, file: bool, project: str | None) -> None:
    """Keep a secret for runs, or give it another value.

    The value is asked for, or read from standard input. Runs have it in the variable NAME; nobody can read it
    back, and it is masked in logs.
    """
    from bench_auth import call
    from bench_protos.runs.v1 import secrets_pb2 as pb

    from bench_cli import cloud

    found = cloud.find_project(project)
    request = pb.SetSecretRequest(
        project_id=found.id,
        name=name,
        scope=cloud.secret_scope(user=user),
        form=pb.SECRET_FORM_FILE if file else pb.SECRET_FORM_ENVIRONMENT,
        value=_value(name, whole=file),
    )
    call(cloud.secrets().SetSecret, request)
    whose = "your runs" if user else f"runs of {found.name}"
    output.result(f"{whose[:1].upper()}{whose[1:]} have {name} from now on.", name=name)


def _value(name: str, *, whole: bool) -> bytes:
    """From the prompt, or standard input. The end of the last line belongs to a whole file only."""
    import sys

    from bench_cli.prompts import ask_secret, can_ask

    if can_ask():
        return ask_secret(f"Value of {name}").encode()
    value = sys.stdin.buffer.read()
    return value if whole else value.removesuffix(b"\n").removesuffix(b"\r")
