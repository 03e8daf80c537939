"""What the kernel says about this process's control group."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def oom_kills() -> int:
    """How many processes of the group the kernel has killed for their memory; 0 where it does not say."""
    lines = _read("memory", "memory.oom_control", "memory.events").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def cpu_seconds() -> float | None:
    """The CPU time that the group has had; None outside of containers, or where the kernel does not say."""
    if not in_container():
        return None
    text = _read("cpuacct", "cpuacct.usage", "cpu.stat")
    if text.strip().isdigit():
        return int(text) / 1e9
    return next(
        (int(line.split()[1]) / 1e6 for line in text.splitlines() if line.startswith("usage_usec ")), None
    )


def memory_bytes() -> int | None:
    """The memory that the group has, with its files' cache; None as above."""
    text = _read("memory", "memory.usage_in_bytes", "memory.current") if in_container() else ""
    return int(text) if text.strip().isdigit() else None


def in_container() -> bool:
    """Whether this process is in a container of Docker's."""
    return Path("/.dockerenv").exists()


def _read(controller: str, first: str, second: str) -> str:
    """A file of the group: by its name in the kernel's first version of groups, or in the second."""
    for path in _candidates(controller, first, second):
        try:
            return path.read_text()
        except OSError:
            continue
    return ""


def _candidates(controller: str, first: str, second: str) -> Iterator[Path]:
    """Where a file may be: by the group's own path; at the root, in a container that sees only itself."""
    try:
        groups = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in groups:
        _, controllers, path = line.split(":", 2)
        relative = path.lstrip("/")
        if controller in controllers.split(","):
            yield from (ROOT / controller / relative / first, ROOT / controller / first)
        elif not controllers:
            yield from (ROOT / relative / second, ROOT / second)
