"""What Docker says about an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench_deploy.engine.docker_errors import docker_errors

if TYPE_CHECKING:
    from docker import DockerClient


def find_image(client: DockerClient, name: str) -> dict[str, Any] | None:
    """What Docker says about an image, or None if it is not here.

    Args:
        client: Docker.
        name: A tag or an id.

    Raises:
        EngineError: Docker refused.
    """
    from docker.errors import ImageNotFound

    with docker_errors(f"look for image {name}"):
        try:
            details: dict[str, Any] = client.api.inspect_image(name)  # type: ignore[no-untyped-call]
        except ImageNotFound:
            return None
    return details
