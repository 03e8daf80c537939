"""The volume of downloads that builds have: what it takes, and its end when that is too much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench_deploy.engine.docker_errors import docker_errors
from bench_deploy.image.connecting import connected

if TYPE_CHECKING:
    from docker import DockerClient

CACHE_VOLUME = "bench-wheels"
"""A volume and not a folder: its files are root's, as the steps are."""


def downloads_size(*, client: DockerClient | None = None, cache: str = CACHE_VOLUME) -> int:
    """What the downloads take; Docker looks through all its disk for the answer.

    Args:
        client: Docker; by default the one that DOCKER_HOST says.
        cache: The name of the volume.

    Raises:
        EngineError: Docker refused, or was not reached.
    """
    with connected(client) as docker, docker_errors("ask what Docker stores"):
        volumes = docker.df()["Volumes"] or []
        sizes = [int(volume["UsageData"]["Size"]) for volume in volumes if volume["Name"] == cache]
    return max(sizes, default=0)


def remove_downloads(*, client: DockerClient | None = None, cache: str = CACHE_VOLUME) -> bool:
    """Remove the downloads, unless a build has them; the next one fetches what it needs again.

    Args:
        client: Docker; by default the one that DOCKER_HOST says.
        cache: The name of the volume.

    Returns:
        Whether they are gone.

    Raises:
        EngineError: Docker refused, or was not reached.
    """
    from docker.errors import APIError, NotFound

    with connected(client) as docker, docker_errors(f"remove volume {cache}"):
        try:
            docker.volumes.get(cache).remove()
        except NotFound:
            return True
        except APIError as error:
            if error.status_code != 409:  # a container uses it
                raise
            return False
    return True
