"""Builds an image, layer by layer; a layer that is there already is taken."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench_core import ImageSettings
from blake3 import blake3
from filelock import FileLock

from bench_deploy.image.base import base_id, base_image
from bench_deploy.image.bench_packages import OF_AGENT, bench_wheel
from bench_deploy.image.connecting import connected
from bench_deploy.image.downloads import CACHE_VOLUME
from bench_deploy.image.found import find_image
from bench_deploy.image.layers import Layer, agent_layer, bench_layer, python_layers, system_layer
from bench_deploy.image.lock import LockInput, LockStore, agent_input, resolve, training_input
from bench_deploy.image.plan import ImagePlan, plan_image
from bench_deploy.image.preflight import check_docker
from bench_deploy.image.sources import package_sources
from bench_deploy.image.step import REPOSITORY, Builder, Say
from bench_deploy.image.under_way import building

if TYPE_CHECKING:
    from docker import DockerClient


@dataclass(frozen=True, kw_only=True)
class BuiltImage:
    """An image that is ready.

    Args:
        image_id: As Docker names it, `sha256:...`.
        tag: Its name.
        lock: The versions it has, a requirements file.
        was_there: Whether nothing had to be built.
    """

    image_id: str
    tag: str
    lock: str
    was_there: bool


def build_image(
    folder: Path,
    settings: ImageSettings,
    *,
    user: tuple[int, int],
    state: Path,
    lock: str = "",
    project: str = "default",
    gpu_count: int = 0,
    say: Say = lambda line: None,
    client: DockerClient | None = None,
    environment: Mapping[str, str] = os.environ,
    cache: str = CACHE_VOLUME,
) -> BuiltImage:
    """Build the image of a project, or find it.

    Args:
        folder: The project's folder, or its code: its requirements are read, and nothing else.
        settings: The section `[image]` of its `bench.toml`.
        user: Numeric user and group ids of its containers; never root's.
        state: Where locks are kept, and which images were used when.
        lock: That of an earlier image, to have the same versions again.
        project: Its id: without a lock, the versions of its latest one stay where they can.
        gpu_count: GPUs that its container is to have here; none is looked for in the build itself.
        say: Takes the output of the build as it comes, line by line. What it raises ends the build.
        client: Docker; by default the one that DOCKER_HOST says.
        environment: Its index, proxy and certificate variables, those of uv and of pip, hold for the build.
        cache: The name of the Docker volume that keeps downloads.

    Returns:
        The image.

    Raises:
        ImageError: It cannot be built, or no container of it could start; nothing half-made stays.
        EngineError: Docker refused.
        EngineAwayError: Docker was not reached.
    """
    plan = plan_image(folder, settings, user=user, lock=lock, project=project)
    with connected(client) as docker, building(state):
        return _Build(plan, state, docker, environment, say, cache, gpu_count).image()


class _Build:
    def __init__(
        self,
        plan: ImagePlan,
        state: Path,
        client: DockerClient,
        environment: Mapping[str, str],
        say: Say,
        cache: str,
        gpu_count: int,
    ) -> None:
        self._plan = plan
        self._gpu_count = gpu_count
        self._state = state
        self._client = client
        self._environment = environment
        self._sources = package_sources(plan.settings, environment)
        self._builder = Builder(
            client=client,
            sources=self._sources,
            say=say,
            cache=cache,
            owner=blake3(os.fsencode(state.resolve())).hexdigest()[:8],
            scratch=state.resolve() / "scratch",
        )
        self._locks = LockStore(state / "locks")
        self._wheels = [bench_wheel(name) for name in OF_AGENT]
        self._system_image: str | None = None

    def image(self) -> BuiltImage:
        check_docker(self._client, gpu_count=self._gpu_count, lock=self._plan.lock)
        base = base_id(self._client, base_image(self._plan.settings, self._environment), self._builder.say)
        self._base = base
        self._system = system_layer(base, self._plan.settings, self._plan.user)
        lock = self._plan.lock or self._lock(training_input(self._plan, base, self._sources.identity))
        agent_lock = self._lock(agent_input(base, self._sources.identity))
        layers = [self._system, agent_layer(self._system.key, agent_lock)]
        layers += python_layers(layers[-1].key, lock)
        layers.append(bench_layer(layers[-1].key, self._wheels))
        _mark_used(self._state, layers)
        top = self._find(layers[-1])
        missing = [] if top else [layer.name for layer in layers if self._find(layer) is None]
        check_docker(self._client, gpu_count=self._gpu_count, lock=lock, missing=missing)
        image = top or self._make(base, layers)
        return BuiltImage(image_id=image, tag=_tag(layers[-1]), lock=lock, was_there=top is not None)

    def _lock(self, asked: LockInput) -> str:
        with _locked(self._state, asked.key):
            found = self._locks.get(asked)
            if found is not None:
                return found
            check_docker(self._client, missing=[self._system.name])
            return resolve(self._builder, asked, self._layer(self._system, self._base), self._locks)

    def _make(self, base: str, layers: Sequence[Layer]) -> str:
        image = base
        for layer in layers:
            image = self._layer(layer, image)
        return image

    def _layer(self, layer: Layer, below: str) -> str:
        with _locked(self._state, layer.key):
            if found := self._find(layer):
                return found
            self._builder.tell(layer.name)
            return self._builder.commit(
                layer.name, below, layer.script, layer.files, key=layer.key, user=self._plan.user
            )

    def _find(self, layer: Layer) -> str | None:
        found = find_image(self._client, _tag(layer))
        return None if found is None else str(found["Id"])


def _mark_used(state: Path, layers: Sequence[Layer]) -> None:
    """Note that layers are used now: `collect_images` spares those that were used lately."""
    used = state / "used"
    used.mkdir(parents=True, exist_ok=True)
    for layer in layers:
        (used / layer.key).touch()


def _tag(layer: Layer) -> str:
    return f"{REPOSITORY}:{layer.key}"


@contextlib.contextmanager
def _locked(state: Path, key: str) -> Iterator[None]:
    """Only one build at a time makes the same thing; the others wait, and take it."""
    place = state / "locked"
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / key):
        yield
