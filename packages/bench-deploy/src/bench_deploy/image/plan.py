"""What an image is to be made of, read from a project's folder: no network, no Docker."""

from dataclasses import dataclass, field
from pathlib import Path

from bench_core import ImageSettings

from bench_deploy.errors import ImageError
from bench_deploy.image.requirements import Requirements, read_requirements


@dataclass(frozen=True, kw_only=True)
class ImagePlan:
    """What an image is to be made of.

    Args:
        project: The project's id: what its earlier images had stays the same where it can.
        settings: The section `[image]` of its `bench.toml`.
        requirements: What its requirements file says; not looked at where there is a `uv_lock`.
        uv_lock: Its `pyproject.toml` and its `uv.lock`, where it has them.
        user: Numeric user and group ids of its containers; never root's.
        lock: That of an earlier image: it is taken as it is.

    Raises:
        ImageError: The user is root.
    """

    project: str
    settings: ImageSettings = field(default_factory=ImageSettings)
    requirements: Requirements = field(default_factory=Requirements)
    uv_lock: tuple[str, str] | None = None
    user: tuple[int, int]
    lock: str = ""

    def __post_init__(self) -> None:
        if min(self.user) <= 0:
            raise ImageError(f"containers do not run as {self.user[0]}:{self.user[1]}")


def plan_image(
    folder: Path,
    settings: ImageSettings,
    *,
    project: str,
    user: tuple[int, int],
    lock: str = "",
) -> ImagePlan:
    """Read what the image of a project is to be made of.

    Args:
        folder: The project's folder, or its code.
        settings: The section `[image]` of its `bench.toml`.
        project: Its id.
        user: Numeric user and group ids of its containers.
        lock: That of an earlier image, to have the same versions again.

    Raises:
        ImageError: A file is missing, or requires what an image cannot have.
    """
    uv_lock = None
    requirements = Requirements()
    if (folder / "uv.lock").is_file() and (folder / "pyproject.toml").is_file():
        uv_lock = ((folder / "pyproject.toml").read_text("utf-8"), (folder / "uv.lock").read_text("utf-8"))
    elif (folder / settings.requirements).exists() or settings.requirements != ImageSettings().requirements:
        requirements = read_requirements(folder, settings.requirements)
    return ImagePlan(
        project=project, settings=settings, requirements=requirements, uv_lock=uv_lock, user=user, lock=lock
    )
