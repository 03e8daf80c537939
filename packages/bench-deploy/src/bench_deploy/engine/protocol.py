"""What an engine is: it starts a container, says how it is, and ends it. It decides nothing.

An engine keeps nothing in memory that it could not find again: a process that is started anew lists the
containers of its label and goes on with them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from bench_deploy.errors import EngineError


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A folder or file of the host in the container.

    Args:
        source: On the host, absolute.
        target: In the container, absolute.
        writable: Whether the container may change it.
    """

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a container may use.

    Args:
        cpu_millis: Thousandths of a CPU.
        memory_bytes: With its shared memory and tmpfs; swap is off.
        process_count: Processes and threads at a time.
        shared_memory_bytes: Of /dev/shm.
        gpus: UUIDs of GPUs.
    """

    cpu_millis: int
    memory_bytes: int
    process_count: int = 4096
    shared_memory_bytes: int = 64 << 20
    gpus: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("cpu_millis", "memory_bytes", "process_count", "shared_memory_bytes"):
            if getattr(self, name) <= 0:
                raise EngineError(f"{name} is {getattr(self, name)}, and must be more than 0")


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """A container that is to be.

    Args:
        name: Unique on the engine; the same one twice is the same container.
        image: As the engine names it; the process engine takes none: "".
        command: The program and its arguments.
        labels: To find it again.
        environment: Its variables. Whoever may ask the engine can read them: no secrets.
        mounts: What it has of the host.
        work: Its working directory.
        user: Numeric user and group ids.
        limits: What it may use.
    """

    name: str
    image: str
    command: Sequence[str]
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    mounts: Sequence[Mount]
    work: str
    user: tuple[int, int]
    limits: Limits


class ContainerState(Enum):
    """How a container is."""

    CREATED = "created"
    """Made, and not started."""

    RUNNING = "running"
    EXITED = "exited"
    """It ran, and has ended."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container as its engine sees it.

    Args:
        name: Its name.
        labels: Those it was made with.
        state: How it is.
        exit_code: 128 + N where signal N ended it; None while it has not ended, or nobody knows.
        out_of_memory: Whether the kernel killed a process in it for its memory.
        error: Why it could not be started; empty if it could.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    state: ContainerState
    exit_code: int | None = None
    out_of_memory: bool = False
    error: str = ""


class Engine(Protocol):
    """Runs containers. Every method but `wait` answers soon.

    Every method raises EngineError; EngineAwayError where the engine cannot be reached, which says nothing
    about the containers.
    """

    name: str
    """As people call it: "docker", "process"."""

    def submit(self, spec: ContainerSpec) -> None:
        """Make the container and start it.

        One of its name that is there is left as it is, and started if it never was.
        """

    def inspect(self, name: str) -> Container | None:
        """A container now, or None if there is none."""

    def wait(self, name: str, seconds: float) -> Container | None:
        """A container when it has ended, or as it is after so long; None if there is none."""

    def signal(self, name: str, number: int) -> None:
        """Send a signal to the container's first process; nothing happens if it has ended."""

    def remove(self, name: str) -> None:
        """Kill the container and remove it; nothing happens if there is none."""

    def list(self, label: str, value: str) -> list[Container]:
        """The containers that have a label, by name."""
