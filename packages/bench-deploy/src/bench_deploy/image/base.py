"""The image that everything is put on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench_core import BASE_IMAGE_VARIABLE, ImageSettings

from bench_deploy.engine.docker_errors import docker_errors
from bench_deploy.errors import EngineError, ImageError
from bench_deploy.image.found import find_image
from bench_deploy.image.step import Say

if TYPE_CHECKING:
    from docker import DockerClient

DEFAULT_PYTHON = "3.11"


def base_image(settings: ImageSettings, environment: Mapping[str, str]) -> str:
    """The name of the base image: `$BENCH_BASE_IMAGE`, that of `bench.toml`, or Debian with a python."""
    default = f"python:{settings.python or DEFAULT_PYTHON}-slim-bookworm"
    return environment.get(BASE_IMAGE_VARIABLE) or settings.base or default


def base_id(client: DockerClient, name: str, say: Say) -> str:
    """The id of a base image, which is pulled if it is not here.

    Args:
        client: Docker.
        name: The image's.
        say: Takes a line for each layer that is pulled.

    Raises:
        ImageError: It is not here, and cannot be pulled.
        EngineError: Docker was not reached.
    """
    if (found := find_image(client, name)) is not None:
        return str(found["Id"])
    say(f"== pull {name}")
    try:
        with docker_errors(f"pull the base image {name}"):
            repository, _, tag = name.partition("@") if "@" in name else name.rpartition(":")
            if "/" in tag or not repository:
                repository, tag = name, "latest"
            for event in client.api.pull(repository, tag=tag, stream=True, decode=True):
                if "error" in event:
                    raise EngineError(f"cannot pull the base image {name}: {event['error']}")
                if event.get("status") in ("Pull complete", "Already exists") or "id" not in event:
                    say(f"{event.get('id', '')} {event.get('status', '')}".strip())
        found = find_image(client, name)
        if found is None:
            raise EngineError(f"{name} was pulled and is not there")
        return str(found["Id"])
    except EngineError as error:
        raise ImageError(
            f"the base image {name} is not on this machine, and it cannot be pulled: {error.message}",
            hint=f"Set {BASE_IMAGE_VARIABLE}, or [image] base of bench.toml, to one that is here.",
        ) from error
