"""Finds what runs left that nothing needs any more, bounds their caches, and says what all of it takes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from bench_server.data_folder import DataFolder
from bench_server.projects.models import Project
from bench_server.runs.models import Run
from bench_server.runs.trees import FOLDER, remove_tree, tree_size

CACHE_BYTES = 20_000_000_000
"""Of a project's caches. What was not used for longest leaves."""

DELETED = "(deleted)"
"""In place of a project that is gone."""


@dataclass
class RunGarbage:
    """What was found, or removed.

    Args:
        folders: Files and logs of runs, and caches of projects, that were deleted.
        cached: Files by which caches are larger than they may be.
        bytes: The size of both.
    """

    folders: int = 0
    cached: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class _Cached:
    """A file of a cache.

    Args:
        used: When, in nanoseconds.
        size: What it takes.
        folders: Names of the folders to it, from the cache on.
        name: Its own.
    """

    used: int
    size: int
    folders: tuple[str, ...]
    name: str


def collect_run_garbage(folder: DataFolder, *, remove: bool, limit: int = CACHE_BYTES) -> RunGarbage:
    """Look for garbage of runs.

    Args:
        folder: The server's.
        remove: Remove it; otherwise it is only counted.
        limit: What a project's caches may take.
    """
    found = RunGarbage()
    orphans = list(_orphans(folder))
    for path in orphans:
        found.folders, found.bytes = found.folders + 1, found.bytes + tree_size(path)
        if remove:
            remove_tree(path)
    for cache in _children(folder.caches):
        for file in _too_much(cache, limit) if cache not in orphans else []:
            found.cached, found.bytes = found.cached + 1, found.bytes + file.size
            if remove:
                _remove(cache, file)
    return found


def sizes_by_project(folder: DataFolder) -> Iterator[tuple[str, str, int]]:
    """What runs take in the server's folder: a kind, a project, and bytes."""
    projects = dict(Project.objects.values_list("pk", "name"))
    owners = {run: projects[project] for run, project in Run.objects.values_list("pk", "project")}
    kinds = [
        ("logs", folder.logs, owners),
        ("media of runs", folder.tracks, owners),
        ("files of runs", folder.runs, owners),
        ("caches", folder.caches, projects),
    ]
    for kind, place, names in kinds:
        totals: dict[str, int] = {}
        for path in _children(place):
            name = names.get(UUID(path.name), DELETED)
            totals[name] = totals.get(name, 0) + tree_size(path)
        yield from ((kind, name, total) for name, total in sorted(totals.items()))


def _orphans(folder: DataFolder) -> Iterator[Path]:
    found = [_children(place) for place in (folder.runs, folder.logs, folder.tracks, folder.caches)]
    # Looked at after the folders: what is submitted now has a row before it has a folder.
    runs = set(Run.objects.values_list("pk", flat=True))
    known = runs | set(Project.objects.values_list("pk", flat=True))
    yield from (path for paths in found for path in paths if UUID(path.name) not in known)


def _children(place: Path) -> list[Path]:
    """The folders that are named by an id, as those of runs and projects are."""
    found = []
    for path in sorted(place.iterdir()) if place.is_dir() else []:
        with suppress(ValueError):
            UUID(path.name)
            found.append(path)
    return found


def _too_much(cache: Path, limit: int) -> list[_Cached]:
    """The files that have to leave, those that were not used for longest."""
    files = sorted(_files(cache), key=lambda file: file.used)
    excess = sum(file.size for file in files) - limit
    leaving = []
    for file in files:
        if excess <= 0:
            break
        leaving.append(file)
        excess -= file.size
    return leaving


def _files(cache: Path) -> Iterator[_Cached]:
    """All files of a cache. A training may change it meanwhile: no link is followed."""
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        folders = waiting.pop()
        with suppress(OSError), _opened(cache, folders) as number, os.scandir(number) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((*folders, entry.name))
                else:
                    status = entry.stat(follow_symlinks=False)
                    used = max(status.st_atime_ns, status.st_mtime_ns)
                    yield _Cached(used, status.st_blocks * 512, folders, entry.name)


def _remove(cache: Path, file: _Cached) -> None:
    with suppress(OSError), _opened(cache, file.folders) as number:
        os.unlink(file.name, dir_fd=number)


@contextmanager
def _opened(cache: Path, folders: tuple[str, ...]) -> Iterator[int]:
    """The descriptor of a folder that is reached through folders alone.

    Raises:
        OSError: It is not, or not any more.
    """
    number = os.open(cache, FOLDER)
    try:
        for name in folders:
            following = os.open(name, FOLDER, dir_fd=number)
            os.close(number)
            number = following
        yield number
    finally:
        os.close(number)
