"""Options that several commands have."""

import click

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
endpoint_option = click.option("--endpoint", metavar="URL", help="The server, such as https://host:8470.")
project_option = click.option(
    "--project", metavar="NAME", help="The project, by name or id; by default that of this folder."
)
