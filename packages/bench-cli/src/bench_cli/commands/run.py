"""`bench run`."""

import click

from bench_cli.command import command
from bench_cli.options import check_follow, follow_option, yes_option
from bench_cli.output import Output
from bench_cli.run_options import cpus_option, environment_option, gpus_option, memory_option


@command(
    "run",
    examples=[
        "bench run --follow",
        "bench run --gpus 1 --name wide --tag baseline",
        "bench run --version 3 --max-hours 12",
        "bench run -f --env LR=0.1 -- python TrainScript.py --epochs 3",
    ],
    shows=True,
)
@follow_option
@gpus_option
@cpus_option
@memory_option
@click.option("--name", metavar="NAME", default="", help="Unique in the project; made up unless given.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="To find it by; may be given again.")
@click.option("--group", metavar="NAME", default="", help="What it belongs to.")
@environment_option
@click.option(
    "--max-hours", metavar="H", type=click.FloatRange(0, min_open=True), help="It is stopped after so long."
)
@click.option(
    "--retry",
    metavar="N",
    type=click.IntRange(0),
    help="New attempts where it is not to blame for its end.",
)
@click.option(
    "--version", metavar="V", type=click.IntRange(1), help="Code and datasets of version V, not those of now."
)
@yes_option
@click.argument("words", metavar="[-- COMMAND]", nargs=-1)
def run(
    output: Output,
    follow: bool,
    gpus: int | None,
    cpus: float | None,
    memory: int | None,
    name: str,
    tags: tuple[str, ...],
    group: str,
    environment: dict[str, str],
    max_hours: float | None,
    retry: int | None,
    version: int | None,
    yes: bool,
    words: tuple[str, ...],
) -> int:
    """Train the project on its server.

    The code goes as it is now, with the datasets that were migrated last. What is not said here is as [run]
    of bench.toml says; without a command there, it is `python TrainScript.py`.

    With --follow the exit code is the run's: 0, 100 if it failed, 103 if it was stopped. Ctrl-C leaves it
    running.
    """
    check_follow(output, follow=follow)
    from bench_core import find_project_settings
    from bench_deploy import ProjectRuns, SubmitOptions, submit_run

    from bench_cli import cloud
    from bench_cli.following import Following
    from bench_cli.prompts import agrees
    from bench_cli.runs import run_document

    folder, project = find_project_settings()
    options = SubmitOptions(
        command=words,
        name=name,
        tags=tags,
        group=group,
        environment=environment,
        gpus=gpus,
        cpus=cpus,
        memory_bytes=memory,
        max_hours=max_hours,
        retry=retry,
        version=version,
        endpoint=cloud.endpoint(),
        confirm=agrees(yes=yes),
        say=output.note,
    )
    made = submit_run(folder, options)
    if follow:
        return Following(output, ProjectRuns(project, cloud.endpoint()), made).to_the_end()
    output.result(f"{made.name} is queued.", run_document(made), made.name)
    output.note(f"Follow it: bench logs -f {made.name}")
    return 0
