"""What this machine has for runs, and who gets it. Pure, but for `look`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import psutil
from bench_deploy.engine.gpus import gpu_problem, list_gpus, too_few, used_gpus

SYSTEM_SHARE = 0.1
"""Of the memory: left to the server and the system."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What runs share.

    Args:
        cpu_millis: Thousandths of CPUs.
        memory_bytes: For all runs together.
        gpus: UUIDs of GPUs.
        foreign_gpus: Those of them that a process has which is no run's.
        gpu_problem: Why there is none, if there is none.
    """

    cpu_millis: int
    memory_bytes: int
    gpus: tuple[str, ...] = ()
    foreign_gpus: frozenset[str] = frozenset()
    gpu_problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What an attempt gets, or has.

    Args:
        cpu_millis: Thousandths of CPUs.
        memory_bytes: Memory.
        gpus: UUIDs of GPUs.
    """

    cpu_millis: int
    memory_bytes: int
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a run asks for.

    Args:
        cpu_millis: 0: its share by GPUs, or all of them if it asks for none.
        memory_bytes: 0: the same share.
        gpu_count: Whole GPUs.
    """

    cpu_millis: int = 0
    memory_bytes: int = 0
    gpu_count: int = 0


def look() -> Machine:
    """This machine now."""
    memory = psutil.virtual_memory().total
    gpus = tuple(gpu.uuid for gpu in list_gpus())
    return Machine(
        cpu_millis=(os.cpu_count() or 1) * 1000,
        memory_bytes=int(memory * (1 - SYSTEM_SHARE)),
        gpus=gpus,
        foreign_gpus=frozenset(used_gpus()),
        gpu_problem="" if gpus else gpu_problem(),
    )


def never(machine: Machine, wish: Wish) -> str:
    """Why the machine can never run this; empty if it can."""
    gpus, cpus, memory = len(machine.gpus), machine.cpu_millis / 1000, _size(machine.memory_bytes)
    if wish.gpu_count > gpus:
        return too_few(wish.gpu_count, gpus, machine.gpu_problem)
    if wish.cpu_millis > machine.cpu_millis:
        return f"{wish.cpu_millis / 1000:g} CPUs are asked for, and this machine has {cpus:g}"
    if wish.memory_bytes > machine.memory_bytes:
        return f"{_size(wish.memory_bytes)} of memory are asked for, and runs have {memory} here"
    return ""


def give(machine: Machine, taken: Sequence[Grant], wish: Wish) -> "Grant | str":
    """What an attempt gets now, or what it waits for.

    Args:
        machine: The machine.
        taken: What others have.
        wish: What the machine could give if nothing was taken.
    """
    wanted = share(machine, wish)
    ours = {gpu for grant in taken for gpu in grant.gpus}
    free = [gpu for gpu in machine.gpus if gpu not in ours]
    idle = [gpu for gpu in free if gpu not in machine.foreign_gpus]
    if len(idle) < wish.gpu_count:
        used = len(free) - len(idle)
        others = f"; {_are(used)} used by processes outside of Bench" if used else ""
        wanted_gpus = "1 GPU" if wish.gpu_count == 1 else f"{wish.gpu_count} GPUs"
        return f"waits for {wanted_gpus}: {_are(len(idle))} free{others}"
    cpus = machine.cpu_millis - sum(grant.cpu_millis for grant in taken)
    if cpus < wanted.cpu_millis:
        return f"waits for {wanted.cpu_millis / 1000:g} CPUs: {cpus / 1000:g} are free"
    memory = machine.memory_bytes - sum(grant.memory_bytes for grant in taken)
    if memory < wanted.memory_bytes:
        return f"waits for {_size(wanted.memory_bytes)} of memory: {_size(memory)} are free"
    return Grant(
        cpu_millis=wanted.cpu_millis, memory_bytes=wanted.memory_bytes, gpus=tuple(idle[: wish.gpu_count])
    )


def share(machine: Machine, wish: Wish) -> Wish:
    """A wish with nothing left open: who asks for k of n GPUs gets k/n of the rest too."""
    part = wish.gpu_count / len(machine.gpus) if wish.gpu_count else 1.0
    return Wish(
        cpu_millis=wish.cpu_millis or max(1, int(machine.cpu_millis * part)),
        memory_bytes=wish.memory_bytes or max(1, int(machine.memory_bytes * part)),
        gpu_count=wish.gpu_count,
    )


def _are(count: int) -> str:
    return f"{count or 'none'} {'is' if count < 2 else 'are'}"


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
