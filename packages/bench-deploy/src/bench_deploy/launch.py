"""The command that starts a training: pure."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from bench_core import ProjectFileError, RunSettings


def launch_command(settings: RunSettings, gpu_count: int) -> tuple[str, ...]:
    """What `[run]` of a bench.toml starts.

    Args:
        settings: That section.
        gpu_count: The run's GPUs: a launcher starts a process for each, and one where there are none.

    Raises:
        ProjectFileError: There is a launcher, and the command is no Python script that it could start.
    """
    if not settings.launcher:
        return settings.command
    count = max(gpu_count, 1)
    start = {
        "torchrun": ("torchrun", "--standalone", f"--nproc-per-node={count}"),
        "accelerate": ("accelerate", "launch", f"--num_processes={count}"),
    }[settings.launcher]
    return start + tuple(_script(settings.launcher, settings.command))


def _script(launcher: str, command: Sequence[str]) -> Sequence[str]:
    """The script, or `-m` and the module, with the arguments."""
    program, *rest = command
    is_python = PurePosixPath(program).name.startswith("python")
    script = rest if is_python else command
    if script and (script[0].endswith(".py") or (script[0] == "-m" and len(script) > 1)):
        return script
    raise ProjectFileError(
        f"[run] command is {' '.join(command)!r}, which {launcher} cannot start",
        hint='With a launcher it is such as "python TrainScript.py --epochs 3", or "python -m train".',
    )
