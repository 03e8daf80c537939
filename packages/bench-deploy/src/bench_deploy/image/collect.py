"""Removes images that nobody has used for long."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_deploy.engine.docker_errors import docker_errors
from bench_deploy.image.connecting import connected
from bench_deploy.image.found import find_image
from bench_deploy.image.step import LABEL, REPOSITORY
from bench_deploy.image.under_way import removing

if TYPE_CHECKING:
    from docker import DockerClient

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What was removed.

    Args:
        images: Their tags.
        freed_bytes: What their own layers had.
        kept_bytes: What those that stay have.
        is_busy: Whether nothing was looked at, because images are being made.
    """

    images: tuple[str, ...] = ()
    freed_bytes: int = 0
    kept_bytes: int = 0
    is_busy: bool = False


@dataclass(frozen=True, kw_only=True)
class _Image:
    id: str
    parent: str
    tag: str
    used: float
    own_bytes: int


def collect_images(
    state: Path,
    *,
    unused_days: float,
    limit_bytes: int | None = None,
    in_use: Callable[[], Collection[str] | None] = tuple,
    remove: bool = True,
    client: DockerClient | None = None,
) -> Collected:
    """Remove layers that were not used for long, and the longest unused ones beyond a limit.

    A layer stays while another one or a container needs it, and while it is not known in `state`.

    Args:
        state: That of `build_image`.
        unused_days: What was used later stays, unless there is too much.
        limit_bytes: How much of it all may stay.
        in_use: Ids of images that stay, asked for while no build is under way; None: nothing is removed now.
        remove: Remove them; otherwise they are only counted.
        client: Docker; by default the one that DOCKER_HOST says.

    Raises:
        EngineError: Docker refused, or was not reached.
    """
    with connected(client) as docker, removing(state) as is_busy:
        spared = None if is_busy else in_use()
        if spared is None:
            return Collected(is_busy=True)
        if remove:
            _remove_ended_builds(docker)
        images = _images(docker, state)
        oldest = time.time() - unused_days * DAY_SECONDS
        removed: list[_Image] = []
        refused = set(spared)
        while leaf := _next(images, refused, oldest, limit_bytes):
            if not _is_free(docker, leaf) or (remove and not _remove(docker, leaf)):
                refused.add(leaf.id)
                continue
            if remove:
                (state / "used" / leaf.tag.partition(":")[2]).unlink(missing_ok=True)
            images.remove(leaf)
            removed.append(leaf)
    return Collected(
        images=tuple(image.tag for image in removed),
        freed_bytes=sum(image.own_bytes for image in removed),
        kept_bytes=sum(image.own_bytes for image in images),
    )


def images_size(state: Path, *, client: DockerClient | None = None) -> int:
    """What the layers that are known in `state` take.

    Args:
        state: That of `build_image`.
        client: Docker; by default the one that DOCKER_HOST says.

    Raises:
        EngineError: Docker refused, or was not reached.
    """
    with connected(client) as docker:
        return sum(image.own_bytes for image in _images(docker, state))


def _next(images: list[_Image], refused: set[str], oldest: float, limit_bytes: int | None) -> _Image | None:
    """The next layer that has to leave."""
    parents = {image.parent for image in images}
    leaves = [image for image in images if image.id not in parents and image.id not in refused]
    is_much = limit_bytes is not None and sum(image.own_bytes for image in images) > limit_bytes
    due = [image for image in leaves if is_much or image.used < oldest]
    return min(due, key=lambda image: (image.used, image.tag), default=None)


def _remove_ended_builds(client: DockerClient) -> None:
    """Those of builders that were killed: the others remove theirs."""
    with docker_errors("remove containers of builds"):
        ended = {"label": f"{LABEL}=build", "status": "exited"}
        for container in client.api.containers(all=True, filters=ended):
            if time.time() - container["Created"] > DAY_SECONDS:
                client.api.remove_container(container["Id"], v=True, force=True)


def _images(client: DockerClient, state: Path) -> list[_Image]:
    with docker_errors("list images"):
        found = client.api.images(filters={"label": LABEL})
    details = [known for image in found if (known := find_image(client, image["Id"])) is not None]
    sizes = {detail["Id"]: detail["Size"] for detail in details}
    return [image for detail in details if (image := _image(client, state, detail, sizes)) is not None]


def _image(client: DockerClient, state: Path, detail: dict[str, Any], sizes: dict[str, int]) -> _Image | None:
    tags = [tag for tag in detail["RepoTags"] or [] if tag.startswith(f"{REPOSITORY}:")]
    note = state / "used" / tags[0].partition(":")[2] if tags else None
    if note is None or not note.exists():
        return None
    parent = detail["Parent"]
    if parent and parent not in sizes:
        sizes[parent] = (find_image(client, parent) or {"Size": 0})["Size"]
    own = detail["Size"] - sizes.get(parent, 0)
    return _Image(id=detail["Id"], parent=parent, tag=tags[0], used=note.stat().st_mtime, own_bytes=own)


def _is_free(client: DockerClient, image: _Image) -> bool:
    with docker_errors(f"look for containers of image {image.tag}"):
        return not client.api.containers(all=True, filters={"ancestor": image.id})


def _remove(client: DockerClient, image: _Image) -> bool:
    from docker.errors import APIError, ImageNotFound

    with docker_errors(f"remove image {image.tag}"):
        try:
            client.api.remove_image(image.tag, noprune=True)
        except ImageNotFound:
            return True
        except APIError as error:
            if error.status_code != 409:  # a container uses it
                raise
            return False
    return True
