"""`bench secret list`."""

from bench_cli.command import command
from bench_cli.options import project_option
from bench_cli.output import Column, Output
from bench_cli.texts import time_text

COLUMNS = [
    Column("NAME", lambda secret: secret["name"]),
    Column("FOR", lambda secret: "your runs" if secret["scope"] == "user" else "the project's runs"),
    Column("AS", lambda secret: secret["form"]),
    Column("SET", lambda secret: time_text(secret["update_time"])),
]


@command("list", examples=["bench secret list", "bench secret list --json"], shows=True)
@project_option
def list_(output: Output, project: str | None) -> None:
    """List the names of secrets.

    Those of the project, and your own. Of the same name, your own comes first in your runs.
    """
    from bench_cli import cloud

    found = [cloud.secret_document(secret) for secret in cloud.list_secrets(cloud.find_project(project))]
    output.table(found, COLUMNS, empty="There are no secrets. Keep one: bench secret set NAME")
