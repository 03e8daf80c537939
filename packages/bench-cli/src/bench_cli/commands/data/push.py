"""`bench data push`."""

import click

from bench_cli.command import command
from bench_cli.options import project_option
from bench_cli.output import Output


@command("push", examples=["bench data push train", "bench data push train --project catdog"], shows=True)
@click.argument("name")
@project_option
def push(output: Output, name: str, project: str | None) -> None:
    """Send a dataset to the server.

    What the project has already is not sent again, and a push that broke off goes on from there.
    """
    import bench_data

    from bench_cli import cloud
    from bench_cli.texts import size_text

    found = cloud.find_project(project)
    pushed = bench_data.push(name, project=found.id, progress=output.shows_progress)
    document = {
        "dataset": pushed.dataset,
        "version_number": pushed.version_number,
        "fingerprint": pushed.fingerprint,
        "sent_bytes": pushed.moved_bytes,
    }
    what = f"{size_text(pushed.moved_bytes)} sent" if pushed.moved_bytes else "nothing had to be sent"
    output.result(
        f"{pushed.dataset} is version {pushed.version_number} in {found.name}; {what}.",
        document,
        str(pushed.version_number),
    )
