"""The GPUs of this machine, by NVIDIA's own program: nothing is imported, and no context is made on a GPU."""

import re
import subprocess
from dataclasses import dataclass

ANSWER_SECONDS = 20.0
"""nvidia-smi takes seconds where the driver is not kept loaded, and for ever where a GPU fell off its bus."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU.

    Args:
        uuid: As in "GPU-8f6b2c1e-...": it stays the same, where an index may change with a restart.
        name: Of its model.
        memory_bytes: 0 where it has none of its own.
    """

    uuid: str
    name: str
    memory_bytes: int


def list_gpus() -> list[Gpu]:
    """The GPUs that can be used; none where the driver does not answer, and `gpu_problem` says why."""
    found = []
    for line in _lines("--query-gpu=uuid,name,memory.total"):
        uuid, name, memory = (part.strip() for part in line.split(","))
        mebibytes = re.match(r"(\d+) MiB", memory)
        found.append(Gpu(uuid=uuid, name=name, memory_bytes=int(mebibytes[1]) << 20 if mebibytes else 0))
    return found


def used_gpus() -> dict[str, list[int]]:
    """The GPUs that processes use, by UUID, with the ids of these processes on the host."""
    found: dict[str, list[int]] = {}
    for line in _lines("--query-compute-apps=gpu_uuid,pid"):
        uuid, pid = (part.strip() for part in line.split(","))
        if pid.isdigit():
            found.setdefault(uuid, []).append(int(pid))
    return found


def driver_version() -> str:
    """The driver's, as in "535.129.03"; empty where it does not answer."""
    return next(iter(_lines("--query-gpu=driver_version")), "").strip()


def gpu_problem() -> str:
    """Why no GPU can be used, for people; "" where one can."""
    try:
        done = _ask("--query-gpu=uuid")
    except FileNotFoundError:
        return "nvidia-smi is not installed, so there is no NVIDIA driver"
    except subprocess.TimeoutExpired:
        return f"nvidia-smi did not answer in {ANSWER_SECONDS:.0f} s"
    if done.returncode != 0:
        return f"nvidia-smi says: {' '.join((done.stdout + done.stderr).split())}"
    return "" if done.stdout.strip() else "nvidia-smi lists no GPU"


def too_few(asked: int, found: int, problem: str) -> str:
    """That there are not as many GPUs as are asked for, for people.

    Args:
        asked: How many are asked for.
        found: How many there are.
        problem: See `gpu_problem`.
    """
    what = "1 GPU is" if asked == 1 else f"{asked} GPUs are"
    return f"{what} asked for, and this machine has {found or 'none'}" + (f": {problem}" if problem else "")


def _lines(query: str) -> list[str]:
    try:
        done = _ask(query)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def _ask(query: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["nvidia-smi", query, "--format=csv,noheader"],
        capture_output=True,
        text=True,
        timeout=ANSWER_SECONDS,
    )
