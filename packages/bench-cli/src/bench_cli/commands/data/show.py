"""`bench data show`."""

import click

from bench_cli.command import command
from bench_cli.options import project_option
from bench_cli.output import Column, Document, Output
from bench_cli.texts import count_text, size_text, time_text


def _size(document: Document) -> str:
    return f"{size_text(document['stored_bytes'])} in {count_text(document['chunk_count'], 'chunk')}"


LOCAL_LINES = [
    Column("Name", lambda dataset: dataset["name"]),
    Column("Folder", lambda dataset: dataset["path"]),
    Column("Samples", lambda dataset: f"{dataset['sample_count']:,}"),
    Column("Labels", lambda dataset: dataset["schema_text"]),
    Column("Files", lambda dataset: "yes" if dataset["with_files"] else "no"),
    Column("Size", _size),
    Column("Chunks", lambda dataset: "on the server only" if dataset["streamed"] else "here"),
    Column("Fingerprint", lambda dataset: dataset["fingerprint"]),
]

SERVER_LINES = [
    Column("Name", lambda version: version["dataset"]),
    Column("Version", lambda version: str(version["version_number"])),
    Column("Samples", lambda version: f"{version['sample_count']:,}"),
    Column("Size", _size),
    Column("Made", lambda version: time_text(version["create_time"])),
    Column("By", lambda version: version["creator"] or "an account that is gone"),
    Column("Fingerprint", lambda version: version["fingerprint"]),
]


@command(
    "show",
    examples=["bench data show train", "bench data show path/to/train", "bench data show train --version 3"],
    shows=True,
)
@click.argument("name")
@click.option("--version", metavar="N", type=click.IntRange(1), help="The server's version N.")
@click.option("--latest", is_flag=True, help="The server's latest version.")
@project_option
def show(output: Output, name: str, version: int | None, latest: bool, project: str | None) -> None:
    """Show a dataset.

    NAME is that of a dataset of this machine, or its folder; with --version or --latest, of the server.
    """
    if version and latest:
        raise click.UsageError("--version and --latest exclude each other")
    if version or latest:
        from bench_cli import cloud

        found = cloud.get_version(cloud.find_project(project), name, version or 0)
        output.record(cloud.version_document(found), SERVER_LINES, found.fingerprint)
        return
    from bench_data import dataset_info

    from bench_cli.local_data import find_dataset, info_document

    info = dataset_info(find_dataset(name))
    output.record(info_document(info), LOCAL_LINES, info.fingerprint)
