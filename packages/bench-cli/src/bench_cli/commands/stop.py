"""`bench stop`."""

from bench_cli.command import command
from bench_cli.options import project_option, run_argument
from bench_cli.output import Output


@command("stop", examples=["bench stop wide", "bench runs stop 0192f0c1"], shows=True)
@run_argument
@project_option
def stop(output: Output, run: str, project: str | None) -> None:
    """Ask a run to end.

    It gets SIGTERM, and SIGKILL after its grace period. What it has written is kept: bench resume RUN
    """
    from bench_cli.run_texts import end_text
    from bench_cli.runs import find_run, run_document, runs_of

    runs = runs_of(project)
    found = runs.stop(find_run(runs, run).run_id)
    document = run_document(found)
    text = end_text(document) if found.state.has_ended else f"{found.name} is being stopped."
    output.result(text, document, found.name)
