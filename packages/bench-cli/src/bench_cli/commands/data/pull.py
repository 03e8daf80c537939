"""`bench data pull`."""

import click

from bench_cli.command import command
from bench_cli.options import project_option
from bench_cli.output import Output


@command("pull", examples=["bench data pull train", "bench data pull train --version 2"], shows=True)
@click.argument("name")
@click.option("--version", metavar="N", type=click.IntRange(1), help="Version N; by default the latest.")
@project_option
def pull(output: Output, name: str, version: int | None, project: str | None) -> None:
    """Fetch a dataset from the server.

    It appears when all of it is here and every digest was right; a pull that broke off goes on from there.
    """
    import bench_data
    from bench_data.folders import dataset_folder

    from bench_cli import cloud
    from bench_cli.texts import size_text

    found = cloud.find_project(project)
    pulled = bench_data.pull(name, project=found.id, version=version or 0, progress=output.shows_progress)
    folder = dataset_folder(name)
    document = {
        "dataset": pulled.dataset,
        "version_number": pulled.version_number,
        "fingerprint": pulled.fingerprint,
        "received_bytes": pulled.moved_bytes,
        "path": str(folder),
    }
    what = f"{size_text(pulled.moved_bytes)} fetched" if pulled.moved_bytes else "nothing had to be fetched"
    output.result(
        f"{pulled.dataset}, version {pulled.version_number}, is in {folder}; {what}.", document, str(folder)
    )
