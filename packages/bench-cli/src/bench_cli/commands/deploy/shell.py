"""`bench deploy shell`."""

from bench_cli.command import command
from bench_cli.output import Output
from bench_cli.run_options import cpus_option, environment_option, gpus_option, memory_option


@command("shell", examples=["bench deploy shell", "bench deploy shell --gpus 1"])
@gpus_option
@cpus_option
@memory_option
@environment_option
def shell(
    output: Output, gpus: int | None, cpus: float | None, memory: int | None, environment: dict[str, str]
) -> int:
    """Look around in a container of this machine.

    It is the container that a run has on a server, with a shell in place of the training.
    """
    from bench_deploy.local import SHELL

    from bench_cli.local_runs import run_here

    return run_here(output, command=SHELL, gpus=gpus, cpus=cpus, memory_bytes=memory, environment=environment)
