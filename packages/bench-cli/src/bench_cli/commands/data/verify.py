"""`bench data verify`."""

import click

from bench_cli.command import command
from bench_cli.errors import CliError
from bench_cli.output import Output


@command("verify", examples=["bench data verify train", "bench data verify path/to/train"], shows=True)
@click.argument("name")
def verify(output: Output, name: str) -> None:
    """Read a dataset whole and find every damaged byte.

    NAME is that of a dataset of this machine, or its folder. The exit code is 1 if anything is damaged.
    """
    import bench_data

    from bench_cli.local_data import find_dataset

    with output.working(f"Reading {name}"):
        report = bench_data.verify(find_dataset(name))
    document = {
        "path": str(report.path),
        "ok": report.ok,
        "chunk_count": report.chunks,
        "bytes": report.bytes,
        "streamed_chunk_count": report.streamed_chunks,
        "problems": [problem._asdict() for problem in report.problems],
    }
    output.result(str(report), document)
    if not report.ok:
        raise CliError(
            f"{name} is damaged",
            hint="Remove the damaged files and write the dataset again, or pull it: only they are replaced.",
        )
