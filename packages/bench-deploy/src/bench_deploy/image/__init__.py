"""Images: what a project is trained in (docs/decisions/0029-images-without-docker-build.md)."""

from bench_deploy.image.build import BuiltImage, build_image
from bench_deploy.image.collect import Collected, collect_images, images_size
from bench_deploy.image.downloads import downloads_size, remove_downloads
from bench_deploy.image.layers import AGENT_PYTHON, HOME, VENV

__all__ = [
    "AGENT_PYTHON",
    "HOME",
    "VENV",
    "BuiltImage",
    "Collected",
    "build_image",
    "collect_images",
    "downloads_size",
    "images_size",
    "remove_downloads",
]
