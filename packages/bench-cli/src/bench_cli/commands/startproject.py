"""`bench startproject`."""

import click

from bench_cli.command import command
from bench_cli.output import Output


@command(
    "startproject",
    examples=[
        "bench startproject catdog",
        "bench startproject catdog .",
        "bench startproject catdog --id 0192f0c1-7a3b-7c55-9d2e-0f6b1c2d3e4f",
    ],
    shows=True,
)
@click.argument("name")
@click.argument("folder", required=False, type=click.Path(file_okay=False))
@click.option("--id", "project_id", metavar="ID", help="A project that is on the server already.")
def startproject(output: Output, name: str, folder: str | None, project_id: str | None) -> None:
    """Start a project: register it and write its first files.

    FOLDER is a folder of that name unless given. One that is there already is adopted: no file is changed.
    """
    from shlex import quote

    from bench_deploy import start_project

    from bench_cli import cloud, logging_in
    from bench_cli.texts import count_text

    logging_in.need_login(output, cloud.endpoint())
    started = start_project(name, folder, project_id=project_id, endpoint=cloud.endpoint())
    document = {
        "id": started.id,
        "name": started.name,
        "folder": str(started.folder),
        "written": list(started.written),
        "kept": list(started.kept),
    }
    text = f"{started.name} is in {started.folder}: {count_text(len(started.written), 'file')} written"
    output.result(f"{text}, {len(started.kept)} kept." if started.kept else f"{text}.", document, started.id)
    output.note(f"Next: cd {quote(folder or name)} && python manage.py --makemigrations")
