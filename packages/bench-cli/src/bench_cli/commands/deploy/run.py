"""`bench deploy run`."""

import click

from bench_cli.command import command
from bench_cli.output import Output
from bench_cli.run_options import cpus_option, environment_option, gpus_option, memory_option


@command(
    "run",
    examples=["bench deploy run", "bench deploy run --gpus 1 -- python TrainScript.py --epochs 1"],
)
@gpus_option
@cpus_option
@memory_option
@environment_option
@click.argument("words", metavar="[-- COMMAND]", nargs=-1)
def run(
    output: Output,
    gpus: int | None,
    cpus: float | None,
    memory: int | None,
    environment: dict[str, str],
    words: tuple[str, ...],
) -> int:
    """Train the project in a container of this machine.

    It is the container that a run has on a server, at this terminal: with the code as it is now, and the
    datasets of this machine. What it leaves is in .bench/local. The exit code is that of the command.
    """
    from bench_cli.local_runs import run_here

    return run_here(output, command=words, gpus=gpus, cpus=cpus, memory_bytes=memory, environment=environment)
