"""Runs for tests of the server: made of a small bundle, without a runner."""

import functools
import io
import stat
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from blake3 import blake3
from server_tools import new_project, new_user
from uuid6 import uuid7

if TYPE_CHECKING:
    from bench_server.projects.models import Project
    from bench_server.runs.models import Run


def bundle(**files: str) -> bytes:
    """A bundle of modules; in names, __ stands for a slash."""
    return zipped({name.replace("__", "/") + ".py": text for name, text in files.items()})


def zipped(files: Mapping[str, str]) -> bytes:
    """A bundle of files by their paths."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in sorted(files.items()):
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, text)
    return buffer.getvalue()


def store(project: "Project", data: bytes) -> str:
    """Give a project a blob; its digest."""
    from bench_server.datasets import blobs

    digest: str = blake3(data).hexdigest()
    blobs.receive(project, digest, len(data), 0, [data] if data else [])
    return digest


@functools.cache
def _a_project() -> "Project":
    return new_project(new_user())


def new_run(project: "Project | None" = None, name: str = "", **spec: Any) -> "Run":
    """A run, queued, of the user who made its project."""
    from bench_server.runs import services
    from bench_server.runs.labels import Labels
    from bench_server.runs.spec import RunSpec

    project = project or _a_project()
    spec.setdefault("bundle_digest", store(project, bundle(train="print(1)")))
    wanted = RunSpec(**{"command": ("python", "train.py"), "environment": {}, **spec})
    assert project.creator is not None
    return services.submit(project, project.creator, uuid7(), Labels(name=name), wanted)[0]
