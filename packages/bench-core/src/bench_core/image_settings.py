"""The section `[image]` of `bench.toml`: what the project is trained in."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from bench_core.errors import ProjectFileError
from bench_core.values import check_text, check_texts

PYTHON = re.compile(r"3\.\d+")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?")
"""As Debian names one, with an architecture and a version."""


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """What a project is trained in.

    Args:
        base: The image that everything is put on, with a python and apt; None: Debian with `python`.
        python: The minor version of its python, such as "3.11"; None: the base's, whichever that is.
        apt: Debian packages.
        requirements: The file that names the Python packages, from the project's folder.
        index_url: The package index, instead of the public one.
        extra_index_urls: More of them.
        find_links: Pages or folders with wheels.
        http_proxy: How `http:` addresses are reached during the build.
        https_proxy: How `https:` addresses are.
        no_proxy: Hosts that are reached directly, with commas.

    Raises:
        ProjectFileError: A value cannot be, or is a secret.
    """

    base: str | None = None
    python: str | None = None
    apt: tuple[str, ...] = ()
    requirements: str = "requirements.txt"
    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    http_proxy: str | None = None
    https_proxy: str | None = None
    no_proxy: str | None = None

    def __post_init__(self) -> None:
        for name in ("apt", "extra_index_urls", "find_links"):
            object.__setattr__(self, name, check_texts(name, getattr(self, name)))
        for name in ("base", "python", "index_url", "http_proxy", "https_proxy", "no_proxy"):
            if getattr(self, name) is not None:
                check_text(name, getattr(self, name))
        if self.python is not None and not PYTHON.fullmatch(self.python):
            raise ProjectFileError(f"python is {self.python!r}", hint='Give its minor version: "3.11".')
        for package in self.apt:
            if not PACKAGE.fullmatch(package):
                raise ProjectFileError(f"apt has {package!r}, which is no name of a Debian package")
        _check_path(self.requirements)
        for name in ("index_url", "http_proxy", "https_proxy"):
            _check_no_password(name, getattr(self, name) or "")
        for name in ("extra_index_urls", "find_links"):
            for url in getattr(self, name):
                _check_no_password(name, url)


def _check_path(path: str) -> None:
    check_text("requirements", path)
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ProjectFileError(
            f"requirements is {path!r}, which is not in the project's folder",
            hint="Copy the file into it: only what is there is sent.",
        )


def _check_no_password(name: str, url: str) -> None:
    try:
        has_password = urlsplit(url if "://" in url else f"//{url}").password is not None
    except ValueError as error:
        raise ProjectFileError(f"{name} is no URL: {error}") from None
    if has_password:
        raise ProjectFileError(
            f"{name} has a password, and bench.toml is there to be shared",
            hint="Set it in the server's environment: UV_INDEX_URL, PIP_INDEX_URL, HTTPS_PROXY or ~/.netrc.",
        )
