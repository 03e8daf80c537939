"""`bench runs rerun`."""

import click

from bench_cli.command import command
from bench_cli.options import check_follow, follow_option, project_option, run_argument
from bench_cli.output import Output


@command("rerun", examples=["bench runs rerun wide -f", "bench runs rerun wide --local"], shows=True)
@run_argument
@follow_option
@click.option("--name", metavar="NAME", default="", help="Unique in the project; made up unless given.")
@click.option("--local", is_flag=True, help="In a container of this machine, as `bench deploy run`.")
@project_option
def rerun(output: Output, run: str, follow: bool, name: str, local: bool, project: str | None) -> int:
    """Repeat a run: the same code, data and packages.

    It is a run of its own; `bench resume` goes on with one that has ended.
    """
    check_follow(output, follow=follow)
    if local and (follow or name):
        raise click.UsageError("--local goes with neither --follow nor --name")
    from bench_deploy import submit_again

    from bench_cli.following import Following
    from bench_cli.runs import find_run, run_document, runs_of

    runs = runs_of(project)
    if local:
        from bench_cli.local_runs import repeat_here

        return repeat_here(output, find_run(runs, run))
    made = submit_again(runs, find_run(runs, run), name=name)
    if follow:
        return Following(output, runs, made).to_the_end()
    output.result(f"{made.name} is queued.", run_document(made), made.name)
    output.note(f"Follow it: bench logs -f {made.name}")
    return 0
