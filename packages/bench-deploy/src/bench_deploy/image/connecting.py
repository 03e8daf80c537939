"""A connection to Docker for what takes its time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench_deploy.engine.docker_errors import docker_errors

if TYPE_CHECKING:
    from docker import DockerClient

ANSWER_SECONDS = 3600
"""Docker may take so long for an answer: it copies gigabytes to keep a layer with CUDA."""


@contextlib.contextmanager
def connected(client: DockerClient | None) -> Iterator[DockerClient]:
    """The client that is given, or one of its own to the Docker that DOCKER_HOST says.

    Raises:
        EngineAwayError: Docker was not reached.
    """
    if client is not None:
        yield client
        return
    import docker

    with docker_errors("reach Docker"):
        own = docker.from_env(timeout=ANSWER_SECONDS)
    try:
        yield own
    finally:
        own.close()
