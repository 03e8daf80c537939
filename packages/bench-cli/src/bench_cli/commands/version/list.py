"""`bench version list`."""

from bench_cli.command import command
from bench_cli.options import project_option
from bench_cli.output import Column, Document, Output
from bench_cli.texts import time_text


def pins_text(document: Document) -> str:
    """The datasets of a version: `train 3, valid 1`."""
    pins = document["datasets"]
    return ", ".join(
        f"{pin['dataset']} {pin['version_number']}{' (deleted)' * pin['is_deleted']}" for pin in pins
    )


def commit_text(document: Document) -> str:
    """The commit of a version, short; `+` where the code was not quite that."""
    return f"{(document['git_commit'] or '')[:9]}{'+' * document['is_dirty']}"


COLUMNS = [
    Column("VERSION", lambda version: str(version["version_number"]), right=True),
    Column("MADE", lambda version: time_text(version["create_time"])),
    Column("BY", lambda version: version["creator"] or ""),
    Column("FILES", lambda version: f"{version['file_count']:,}", right=True),
    Column("DATASETS", pins_text),
    Column("COMMIT", commit_text),
    Column("MESSAGE", lambda version: version["message"]),
]


@command("list", examples=["bench version list", "bench version list --project catdog --json"], shows=True)
@project_option
def list_(output: Output, project: str | None) -> None:
    """List the versions of a project."""
    from bench_cli.deployments import version_document, versions_of

    found = [version_document(version) for version in versions_of(project).all()]
    output.table(found, COLUMNS, empty="The project has no version yet. Make one: bench migrate")
