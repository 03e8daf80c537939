"""`bench resume`."""

from bench_cli.command import command
from bench_cli.options import check_follow, follow_option, project_option, run_argument
from bench_cli.output import Output


@command(
    "resume",
    examples=["bench resume wide", "bench resume wide -f", "bench runs resume wide"],
    shows=True,
)
@run_argument
@follow_option
@project_option
def resume(output: Output, run: str, follow: bool, project: str | None) -> int:
    """Start a new attempt of a run that has ended.

    It has the same code, data and packages, and finds the files that the run left.
    """
    check_follow(output, follow=follow)
    from bench_cli.following import Following
    from bench_cli.runs import find_run, run_document, runs_of

    runs = runs_of(project)
    found = runs.resume(find_run(runs, run).run_id)
    if follow:
        return Following(output, runs, found).to_the_end()
    number = found.last_attempt.attempt_number
    output.result(f"{found.name}, attempt {number}, is queued.", run_document(found), found.name)
    output.note(f"Follow it: bench logs -f {found.name}")
    return 0
