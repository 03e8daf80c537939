"""An engine in memory, for tests of what stands on engines: no process is started, and time does not pass."""

from __future__ import annotations

import builtins
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from bench_deploy.engine.protocol import Container, ContainerSpec, ContainerState
from bench_deploy.errors import EngineAwayError, EngineError


class FakeEngine:
    """Containers that do what a test says.

    Example:
        >>> engine = FakeEngine()
        >>> engine.submit(spec)
        >>> engine.finish(spec.name, exit_code=1)

    Attributes:
        away: While it is true, every method raises EngineAwayError.
        start_error: While it is not empty, a container is made, and its start fails with this text.
        deaf: Names of containers that ignore every signal but SIGKILL.
        specs: What was submitted, by name; a removed container stays here.
        signals: What was sent, as (name, number), to containers that ran.
    """

    name = "fake"

    def __init__(self) -> None:
        self.away = False
        self.start_error = ""
        self.deaf: set[str] = set()
        self.specs: dict[str, ContainerSpec] = {}
        self.signals: list[tuple[str, int]] = []
        self._containers: dict[str, Container] = {}
        self._changed = threading.Condition()

    def finish(self, name: str, exit_code: int | None = 0, *, out_of_memory: bool = False) -> None:
        """Let a container end.

        Args:
            name: Its name; it must run.
            exit_code: 128 + N for signal N.
            out_of_memory: Whether the kernel killed for memory.
        """
        with self._changed:
            ended = replace(
                self._containers[name],
                state=ContainerState.EXITED,
                exit_code=exit_code,
                out_of_memory=out_of_memory,
            )
            self._put(ended)

    def submit(self, spec: ContainerSpec) -> None:
        """Make the container and start it, as `Engine.submit` says."""
        with self._reached():
            self.specs.setdefault(spec.name, spec)
            made = Container(name=spec.name, labels=dict(spec.labels), state=ContainerState.CREATED)
            found = self._containers.get(spec.name, made)
            if found.state is not ContainerState.CREATED:
                return
            if self.start_error:
                self._put(replace(found, error=self.start_error))
                raise EngineError(f"cannot start container {spec.name}: {self.start_error}")
            self._put(replace(found, state=ContainerState.RUNNING, error=""))

    def inspect(self, name: str) -> Container | None:
        """A container now, as `Engine.inspect` says."""
        with self._reached():
            return self._containers.get(name)

    def wait(self, name: str, seconds: float) -> Container | None:
        """A container when it has ended, as `Engine.wait` says."""
        with self._reached():
            self._changed.wait_for(lambda: self._is_over(name), seconds)
        return self.inspect(name)

    def signal(self, name: str, number: int) -> None:
        """Send a signal: it ends the container, unless that is deaf to it."""
        with self._reached():
            found = self._containers.get(name)
            if found is None or found.state is not ContainerState.RUNNING:
                return
            self.signals.append((name, number))
            if number == signal.SIGKILL or name not in self.deaf:
                self.finish(name, 128 + number)

    def remove(self, name: str) -> None:
        """Kill a container and remove it, as `Engine.remove` says."""
        with self._reached():
            self._containers.pop(name, None)
            self._changed.notify_all()

    def list(self, label: str, value: str) -> builtins.list[Container]:
        """The containers that have a label, by name."""
        with self._reached():
            found = sorted(self._containers.values(), key=lambda container: container.name)
            return [container for container in found if container.labels.get(label) == value]

    @contextmanager
    def _reached(self) -> Iterator[None]:
        with self._changed:
            if self.away:
                raise EngineAwayError("the engine was told to be away")
            yield

    def _is_over(self, name: str) -> bool:
        found = self._containers.get(name)
        return found is None or found.state is ContainerState.EXITED

    def _put(self, container: Container) -> None:
        self._containers[container.name] = container
        self._changed.notify_all()
