"""`bench deploy build`."""

from bench_cli.command import command
from bench_cli.output import Output


@command("build", examples=["bench deploy build", "bench deploy build --json"], shows=True)
def build(output: Output) -> None:
    """Make the image that runs of the project have.

    It is made from the requirements and [image] of bench.toml; what is there already is taken.
    """
    from dataclasses import asdict

    from bench_core import find_project_settings
    from bench_deploy.local import build_local

    built = build_local(*find_project_settings(), say=output.note)
    was = "was there" if built.was_there else "is made"
    output.result(f"The image {built.tag} {was}.", asdict(built), built.tag)
