"""Finds before a build what would fail at its end, or once its container is to start."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench_deploy.engine.docker_errors import DISK_HINT, NO_GPUS, TOOLKIT_HINT, docker_errors
from bench_deploy.engine.gpus import driver_version
from bench_deploy.errors import ImageError
from bench_deploy.image.cuda import OLDEST_DRIVERS, cuda_of_lock, newest_cuda

if TYPE_CHECKING:
    from docker import DockerClient

HOOK = "nvidia-container-runtime-hook"
"""Of NVIDIA's container toolkit: Docker gives GPUs to containers by it, if its own PATH has it."""

ROOM_BYTES = 2_000_000_000
"""For Debian packages, the agent's environment and a few others."""

CUDA_BYTES = 11_000_000_000
"""For torch with CUDA: 5.4 GB (2.13), which lie in the container of the step and in the layer at once."""


@dataclass(frozen=True)
class Problem:
    """Why a build, or what comes after it, cannot succeed.

    Args:
        message: What is so.
        hint: What to do about it.
    """

    message: str
    hint: str


def check_docker(
    client: DockerClient, *, gpu_count: int = 0, lock: str = "", missing: Sequence[str] = ()
) -> None:
    """Look at this machine before something is made.

    Args:
        client: Docker.
        gpu_count: GPUs that a container is to have.
        lock: The versions of its packages; empty: not known yet.
        missing: Names of the layers that have to be made.

    Raises:
        ImageError: It cannot succeed; all reasons at once.
        EngineError: Docker refused.
    """
    if not gpu_count and not missing:
        return
    with docker_errors("ask Docker about this machine"):
        about = client.info()
    problems: list[Problem] = []
    if gpu_count:
        problems += [*toolkit_problems(about), *driver_problems(lock)]
    if missing:
        problems += room_problems(about, room_for(missing, lock))
    if problems:
        hints = dict.fromkeys(problem.hint for problem in problems)
        raise ImageError("; ".join(problem.message for problem in problems), hint=" ".join(hints))


def toolkit_problems(about: Mapping[str, Any]) -> Iterator[Problem]:
    """Whether Docker can give GPUs to a container.

    Args:
        about: What Docker says about itself.
    """
    devices = about.get("DiscoveredDevices") or []  # of a specification (CDI); Docker says so from 28.2 on
    is_there = (
        "nvidia" in about["Runtimes"]
        or shutil.which(HOOK)
        or any(device["ID"].startswith("nvidia.com/gpu") for device in devices)
    )
    if not is_there:
        yield Problem(f"{NO_GPUS}: NVIDIA's container toolkit is missing", TOOLKIT_HINT)


def driver_problems(lock: str) -> Iterator[Problem]:
    """Whether the driver runs the CUDA that packages were made for.

    Args:
        lock: The versions of the packages.
    """
    wanted = cuda_of_lock(lock)
    driver = driver_version() if wanted else ""
    if not re.match(r"\d+", driver):
        return
    has = newest_cuda(driver)
    oldest = OLDEST_DRIVERS.get(wanted, max(OLDEST_DRIVERS.values()))
    if int(driver.partition(".")[0]) < oldest:
        others = f", or packages for CUDA {has}, such as those of an index of torch's for it" if has else ""
        yield Problem(
            f"the requirements are made for CUDA {wanted}, "
            f"and this machine's driver {driver} is too old for it",
            f"Install driver {oldest} or later{others}.",
        )


def room_problems(about: Mapping[str, Any], needed: int) -> Iterator[Problem]:
    """Whether Docker's disk has room.

    Args:
        about: What Docker says about itself.
        needed: Bytes.
    """
    place = about["DockerRootDir"]
    try:
        free = shutil.disk_usage(place).free
    except OSError:  # it is on another machine, or in a virtual one
        return
    if free < needed:
        yield Problem(
            f"Docker's disk has {free / 1e9:.1f} GB left at {place}, and this image needs {needed / 1e9:.1f}",
            DISK_HINT,
        )


def room_for(missing: Sequence[str], lock: str) -> int:
    """The bytes that layers need while they are made.

    Args:
        missing: Their names.
        lock: The versions of the packages.
    """
    return ROOM_BYTES + (CUDA_BYTES if "torch" in missing and cuda_of_lock(lock) else 0)
