"""Bounds what runs have on Docker's disk: their images, and the downloads that these were made with."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench_deploy.errors import EngineError
from bench_deploy.image import collect_images, downloads_size, images_size, remove_downloads

from bench_server.data_folder import DataFolder
from bench_server.runs.models import Attempt
from bench_server.runs.states import State
from bench_server.runs.transitions import UNFINISHED

UNUSED_DAYS = 30.0
IMAGE_BYTES = 50_000_000_000
"""Of all images: some six with torch for CUDA. The longest unused ones leave first."""

DOWNLOAD_BYTES = 20_000_000_000
"""Of wheels, unpacked. They are one cache, and go together; the next build fetches what it needs."""


@dataclass(frozen=True, kw_only=True)
class ImageGarbage:
    """What was found on Docker's disk, or removed.

    Args:
        images: Layers of images.
        bytes: What they take, with the downloads if these go too.
        problem: Why nothing was looked at; empty if it was.
    """

    images: int = 0
    bytes: int = 0
    problem: str = ""


def collect_image_garbage(folder: DataFolder, *, remove: bool) -> ImageGarbage:
    """Look for images that no unfinished run has, and that are old or too many.

    Args:
        folder: The server's.
        remove: Remove them; otherwise they are only counted.
    """
    if not _made(folder.images):
        return ImageGarbage()
    try:
        done = collect_images(
            folder.images,
            unused_days=UNUSED_DAYS,
            limit_bytes=IMAGE_BYTES,
            in_use=_in_use,
            remove=remove,
        )
        if done.is_busy:
            return ImageGarbage(problem="an image is being made, so none was looked at")
        downloads = downloads_size()
        if downloads <= DOWNLOAD_BYTES or (remove and not remove_downloads()):
            downloads = 0
    except EngineError as error:
        return ImageGarbage(problem=error.message)
    return ImageGarbage(images=len(done.images), bytes=done.freed_bytes + downloads)


def image_sizes(folder: DataFolder) -> Iterator[tuple[str, int]]:
    """What runs take on Docker's disk: a kind and its bytes; nothing where Docker does not answer."""
    if not _made(folder.images):
        return
    try:
        found = [("images", images_size(folder.images)), ("downloads of images", downloads_size())]
    except EngineError:
        return
    yield from found


def _made(images: Path) -> bool:
    """Whether the server has made an image: else Docker is not asked."""
    return (images / "used").is_dir()


def _in_use() -> Collection[str] | None:
    """The images of attempts that have not ended; None while it is not known of one which it will have."""
    rows = list(Attempt.objects.filter(state__in=UNFINISHED).values_list("state", "image_id"))
    if any(state == State.BUILDING.value for state, _ in rows):
        return None
    return {image for _, image in rows}
