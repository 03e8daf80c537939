"""What the runner works with; made once, and given to all its keepers."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench_core import ImageSettings
from bench_deploy.engine import Engine


@dataclass(frozen=True)
class Built:
    """An image that is there.

    Args:
        image_id: As the engine names it; empty with the process engine.
        lock: The requirements, resolved.
    """

    image_id: str
    lock: str


class Builder(Protocol):
    """Makes images."""

    def __call__(
        self,
        folder: Path,
        image: ImageSettings,
        *,
        lock: str,
        project_id: str,
        gpu_count: int,
        say: Callable[[str], None],
    ) -> Built:
        """Make the image of a project, or find it.

        Args:
            folder: The project's code.
            image: What its bench.toml says about the image.
            lock: The versions to keep to; empty: they are resolved.
            project_id: The project's.
            gpu_count: GPUs that a container of it is to have.
            say: Takes lines as they come; what it raises ends the build.
        """


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What the runner works with.

    Args:
        data: The server's folder.
        server_id: Its id.
        engine: What containers run on.
        builder: What makes images.
        is_contained: Whether the engine puts the training into a container with paths and a user of its own.
    """

    data: Path
    server_id: str
    engine: Engine
    builder: Builder
    is_contained: bool
    building: threading.Lock = field(default_factory=threading.Lock)
    """Held while an image is made: two runs of the same project then make it once."""
