"""Options that several commands have."""

import click

from bench_cli.output import Mode, Output

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
endpoint_option = click.option("--endpoint", metavar="URL", help="The server, such as https://host:8470.")
project_option = click.option(
    "--project", metavar="NAME", help="The project, by name or id; by default that of this folder."
)
follow_option = click.option("--follow", "-f", is_flag=True, help="Show what it says, until it ends.")
run_argument = click.argument("run")
optional_run_argument = click.argument("run", required=False)
user_option = click.option("--user", is_flag=True, help="For your runs in all projects, not the project's.")


def check_follow(output: Output, *, follow: bool) -> None:
    """Refuse `--json` for a command that follows a run: standard output has the training's."""
    if follow and output.mode is Mode.JSON:
        raise click.UsageError("--follow and --json exclude each other")
