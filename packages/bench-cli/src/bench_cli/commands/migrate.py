"""`bench migrate`."""

import click

from bench_cli.command import command
from bench_cli.options import yes_option
from bench_cli.output import Output


@command(
    "migrate",
    examples=["bench migrate", 'bench migrate --message "larger images"', "bench migrate --dry-run"],
    shows=True,
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--message", "-m", default="", metavar="TEXT", help="Why, for people who look at the version.")
@yes_option
def migrate(output: Output, dry_run: bool, message: str, yes: bool) -> None:
    """Bring the project's datasets and code to the server.

    The same as `python manage.py --makemigrations`: what changed is sent, and both become a version of the
    project. Asks before much, or what looks like a secret, is sent.
    """
    from bench_core import find_project_settings
    from bench_deploy import MigrateOptions
    from bench_deploy import migrate as migrate_project

    from bench_cli import cloud, sources
    from bench_cli.deployments import version_document
    from bench_cli.prompts import agrees

    folder, project = find_project_settings()
    options = MigrateOptions(
        dry_run=dry_run,
        message=message,
        endpoint=cloud.endpoint(),
        python=sources.interpreter(),
        confirm=agrees(yes=yes),
        say=output.note,
    )
    done = migrate_project(folder, options)
    document = {
        "project": project.name,
        "version": version_document(done.version) if done.version else None,
        "existed": done.existed,
        "sent_bytes": done.sent_bytes,
        "kept": list(done.kept),
        "dry_run": dry_run,
    }
    if done.version is None:
        output.result(f"{project.name} has no version yet.", document)
        return
    number = done.version.version_number
    output.result(f"{project.name} is at version {number}.", document, str(number))
