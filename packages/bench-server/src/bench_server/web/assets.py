"""Style sheets, scripts and icon: few and small, served from memory under names that change with them.

A browser keeps each for a year: another content has another address.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from blake3 import blake3
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from bench_server.access import Caller, Rule, allow
from bench_server.errors import Refused

FOLDERS = [Path(__file__).parent / name for name in ("static", "npm")]
"""Ours, and what build_assets.py fetched."""

TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """One file.

    Args:
        content: Its bytes.
        digest: Of the content; in its address.
        content_type: As HTTP has it.
    """

    content: bytes
    digest: str
    content_type: str


@cache
def assets() -> dict[str, Asset]:
    """All files by name, read once."""
    paths = [path for folder in FOLDERS for path in sorted(folder.iterdir()) if path.suffix in TYPES]
    found = {path.name: (path.read_bytes(), TYPES[path.suffix]) for path in paths}
    return {
        name: Asset(content, blake3(content).hexdigest(16), kind) for name, (content, kind) in found.items()
    }


def address(name: str) -> str:
    """Where a file is served."""
    return reverse("asset", args=[assets()[name].digest, name])


class AssetPage:
    """One file."""

    @allow(Rule.OPEN)
    def get(self, request: HttpRequest, caller: Caller, digest: str, name: str) -> HttpResponse:
        """The file, if this is its content."""
        found = assets().get(name)
        if found is None or found.digest != digest:
            raise Refused("BLOB_NOT_FOUND", "There is no such file.")
        response = HttpResponse(found.content, content_type=found.content_type)
        response["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
