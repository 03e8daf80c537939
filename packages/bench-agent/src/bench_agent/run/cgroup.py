"""What the kernel says about this process's control group."""

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def oom_kills() -> int:
    """How many processes of the group the kernel has killed for their memory; 0 where it does not say."""
    for path in _candidates():
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    return 0


def _candidates() -> list[Path]:
    """Where the number may be: by the group's own path; at the root, in a container that sees only itself."""
    try:
        groups = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found: list[Path] = []
    for line in groups:
        _, controllers, path = line.split(":", 2)
        relative = path.lstrip("/")
        if "memory" in controllers.split(","):
            top = ROOT / "memory"
            found += [top / relative / "memory.oom_control", top / "memory.oom_control"]
        elif not controllers:
            found += [ROOT / relative / "memory.events", ROOT / "memory.events"]
    return found
