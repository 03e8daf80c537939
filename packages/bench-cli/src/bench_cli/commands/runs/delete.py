"""`bench runs delete`."""

from bench_cli.command import command
from bench_cli.options import project_option, run_argument, yes_option
from bench_cli.output import Output


@command("delete", examples=["bench runs delete wide", "bench runs delete wide --yes"])
@run_argument
@project_option
@yes_option
def delete(output: Output, run: str, project: str | None, yes: bool) -> None:
    """Delete a run with its logs and files.

    It has to have ended.
    """
    from bench_cli.prompts import confirm
    from bench_cli.runs import find_run, runs_of

    runs = runs_of(project)
    found = find_run(runs, run)
    confirm(f"Delete the run {found.name} with its logs and files?", yes=yes)
    runs.delete(found.run_id)
    output.result(f"Deleted the run {found.name}.", name=found.name)
