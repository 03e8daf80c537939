"""`bench data show`."""

import click

from bench_cli.command import command
from bench_cli.options import project_option
from bench_cli.output import Column, Output
from bench_cli.texts import size_text, time_text

LOCAL_LINES = [
    Column("Name", lambda info: info["name"]),
    Column("Folder", lambda info: info["path"]),
    Column("Samples", lambda info: f"{info['samples']:,}"),
    Column("Labels", lambda info: info["schema_text"]),
    Column("Files", lambda info: "yes" if info["with_files"] else "no"),
    Column("Size", lambda info: f"{size_text(info['bytes'])} in {info['chunks']:,} chunks"),
    Column("Fingerprint", lambda info: info["fingerprint"]),
]

SERVER_LINES = [
    Column("Name", lambda version: version["dataset"]),
    Column("Version", lambda version: str(version["version_number"])),
    Column("Samples", lambda version: f"{version['sample_count']:,}"),
    Column(
        "Size", lambda version: f"{size_text(version['stored_bytes'])} in {version['chunk_count']:,} chunks"
    ),
    Column(
        "Made", lambda version: f"{time_text(version['create_time'])} by {version['creator'] or 'nobody'}"
    ),
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
        output.record(cloud.version_document(found), SERVER_LINES)
        return
    from bench_data import dataset_info

    from bench_cli.local_data import find_dataset, info_document

    output.record(info_document(dataset_info(find_dataset(name))), LOCAL_LINES)
