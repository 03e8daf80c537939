"""The engine of real containers: a Docker daemon, by docker-py."""

from __future__ import annotations

import builtins
import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Literal

from bench_deploy.engine.docker_errors import docker_errors
from bench_deploy.engine.host_guard import close_host
from bench_deploy.engine.protocol import Container, ContainerSpec, ContainerState
from bench_deploy.errors import EngineError

if TYPE_CHECKING:  # docker-py takes 0.2 s to import; it is imported by the first call
    from docker import DockerClient

CALL_SECONDS = 60.0
"""How long Docker may take for an answer: to make a container on a busy disk takes it seconds."""

CONNECTIONS = 100
"""That are kept open: each `wait` has one."""

NAME_SECONDS = 0.05
"""Until the next look at a name whose container another call is just making, or removing."""

STATES = {"created": ContainerState.CREATED, "exited": ContainerState.EXITED, "dead": ContainerState.EXITED}
"""Of Docker's own words; the others (running, paused, restarting, removing) are of one that is not over."""


class DockerEngine:
    """Containers on a Docker daemon, each with the profile of `docker_profile`.

    Args:
        base_url: Where the daemon is, as in "unix:///run/docker.sock"; by default what DOCKER_HOST says, or
            this machine's socket.
    """

    name = "docker"

    def __init__(self, base_url: str | None = None) -> None:
        self._base_url = base_url
        self._connecting = threading.Lock()
        self._connected: DockerClient | None = None

    def close_host(self) -> str:
        """Make the containers' network, and close this machine's own ports towards it.

        Every `submit` does the same; this is to know the answer.

        Returns:
            Why containers may still reach servers of this machine; "" where they cannot.

        Raises:
            EngineError: The network cannot be made.
        """
        from bench_deploy.engine.docker_profile import BRIDGE

        self._make_network()
        return close_host(BRIDGE)

    def submit(self, spec: ContainerSpec) -> None:
        """Make the container and start it, as `Engine.submit` says.

        Raises:
            EngineError: Docker refused; a container that could be made and not started stays.
            EngineAwayError: Docker was not reached.
        """
        self.close_host()
        found = self._attributes(spec.name)
        if found is None:
            self._create(spec)
        else:
            self._must_be(spec, found)
        if found is None or _state(found) is ContainerState.CREATED:
            with docker_errors(f"start container {spec.name}"):
                self._client().api.start(spec.name)  # nothing happens to one that runs

    def inspect(self, name: str) -> Container | None:
        """A container now, as `Engine.inspect` says."""
        attributes = self._attributes(name)
        return None if attributes is None else _container(attributes)

    def wait(self, name: str, seconds: float) -> Container | None:
        """A container when it has ended, as `Engine.wait` says."""
        deadline = time.monotonic() + seconds
        found = self.inspect(name)
        while (
            found and found.state is not ContainerState.EXITED and (left := deadline - time.monotonic()) > 0
        ):
            # Docker takes one that never ran for one that has ended.
            created = found.state is ContainerState.CREATED
            self._wait_for(name, "next-exit" if created else "not-running", left)
            found = self.inspect(name)
        return found

    def signal(self, name: str, number: int) -> None:
        """Send a signal, as `Engine.signal` says."""
        import docker.errors

        with docker_errors(f"send signal {number} to container {name}"):
            try:
                if number == signal.SIGKILL:
                    self._lift_cpu_quota(name)
                self._client().api.kill(name, signal=number)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                if error.status_code != 409:  # it does not run
                    raise

    def remove(self, name: str) -> None:
        """Kill and remove a container, as `Engine.remove` says."""
        import docker.errors

        with docker_errors(f"remove container {name}"):
            try:
                self._lift_cpu_quota(name)
                self._client().api.remove_container(name, v=True, force=True)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                if error.status_code != 409:  # somebody else is at it
                    raise

    def _lift_cpu_quota(self, name: str) -> None:
        """Let a container die at once when it is killed: on half a CPU a thousand processes take minutes."""
        import docker.errors

        with contextlib.suppress(docker.errors.APIError):  # gone or not running; else it dies slowly
            self._client().api.update_container(name, cpu_quota=-1)

    def list(self, label: str, value: str) -> builtins.list[Container]:
        """The containers that have a label, by name."""
        with docker_errors("list containers"):
            found = self._client().api.containers(all=True, filters={"label": f"{label}={value}"})
        names = sorted(name.removeprefix("/") for one in found for name in one["Names"])
        return [container for name in names if (container := self.inspect(name)) is not None]

    def close(self) -> None:
        """End the connections to Docker; the next call makes new ones."""
        with self._connecting:
            if self._connected is not None:
                self._connected.close()
                self._connected = None

    def _client(self) -> DockerClient:
        import docker

        with self._connecting:
            if self._connected is None:
                options: dict[str, Any] = {"timeout": int(CALL_SECONDS), "max_pool_size": CONNECTIONS}
                self._connected = (
                    docker.DockerClient(base_url=self._base_url, **options)
                    if self._base_url
                    else docker.from_env(**options)
                )
            return self._connected

    def _attributes(self, name: str) -> dict[str, Any] | None:
        import docker.errors

        with docker_errors(f"look at container {name}"), contextlib.suppress(docker.errors.NotFound):
            attributes: dict[str, Any] = self._client().api.inspect_container(name)
            if attributes["Name"] == f"/{name}":  # Docker also finds by the first letters of an id
                return attributes
        return None

    def _create(self, spec: ContainerSpec) -> None:
        import docker.errors

        from bench_deploy.engine.docker_profile import create_arguments

        deadline = time.monotonic() + CALL_SECONDS
        with docker_errors(f"make container {spec.name}"):
            if spec.limits.cpu_millis > 1000 * (
                cpus := self._client().info()["NCPU"]
            ):  # Docker looks at no quota
                raise EngineError(
                    f"cannot make container {spec.name}: more CPUs are asked for than there are: {cpus}",
                    hint="Ask for fewer.",
                )
            while self.inspect(spec.name) is None:
                try:
                    self._client().containers.create(**create_arguments(spec))
                except docker.errors.APIError as error:
                    if error.status_code != 409 or time.monotonic() > deadline:
                        raise
                    time.sleep(NAME_SECONDS)

    def _must_be(self, spec: ContainerSpec, attributes: dict[str, Any]) -> None:
        labels = attributes["Config"]["Labels"] or {}
        if any(labels.get(name) != value for name, value in spec.labels.items()):
            raise EngineError(
                f"cannot start container {spec.name}: another container has that name",
                hint=f"If nothing needs it: docker rm {spec.name}",
            )

    def _make_network(self) -> None:
        import docker.errors

        from bench_deploy.engine.docker_profile import NETWORK, NETWORK_OPTIONS

        with docker_errors(f"make the network {NETWORK}"):
            try:
                options = self._client().api.inspect_network(NETWORK)["Options"]
            except docker.errors.NotFound:
                options = self._new_network()
        if not NETWORK_OPTIONS.items() <= (options or {}).items():
            raise EngineError(
                f'Docker\'s network "{NETWORK}" was not made by Bench, and may join its containers',
                hint=f"If nothing needs it, remove it and Bench makes its own: docker network rm {NETWORK}",
            )

    def _new_network(self) -> dict[str, str]:
        import docker.errors

        from bench_deploy.engine.docker_profile import NETWORK, NETWORK_OPTIONS

        api = self._client().api
        try:
            api.create_network(NETWORK, driver="bridge", options=NETWORK_OPTIONS, check_duplicate=True)
        except docker.errors.APIError:
            if not api.networks(names=[NETWORK]):
                raise  # else another call was first
        options: dict[str, str] = api.inspect_network(NETWORK)["Options"]
        return options

    def _wait_for(self, name: str, condition: Literal["not-running", "next-exit"], seconds: float) -> None:
        import docker.errors
        import requests

        with docker_errors(f"wait for container {name}"), contextlib.suppress(docker.errors.NotFound):
            try:
                timeout: Any = seconds  # fractions too, whatever its types say
                self._client().api.wait(name, timeout=timeout, condition=condition)
            except requests.Timeout:
                return
            except requests.ConnectionError as error:
                if not _is_timeout(error):
                    raise


def _is_timeout(error: BaseException) -> bool:
    # Docker answers at once and leaves the body open; requests has no class of its own for a late body.
    from urllib3.exceptions import ReadTimeoutError

    return any(isinstance(argument, ReadTimeoutError) for argument in error.args)


def _state(attributes: dict[str, Any]) -> ContainerState:
    return STATES.get(attributes["State"]["Status"], ContainerState.RUNNING)


def _container(attributes: dict[str, Any]) -> Container:
    state = _state(attributes)
    return Container(
        name=attributes["Name"].removeprefix("/"),
        labels=attributes["Config"]["Labels"] or {},
        state=state,
        exit_code=attributes["State"]["ExitCode"] if state is ContainerState.EXITED else None,
        out_of_memory=attributes["State"]["OOMKilled"],
        error=attributes["State"]["Error"],
    )
