"""A server's data as a whole: copy it, bring it back, check it, see what it takes."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench_core import sync_file, sync_folder
from blake3 import blake3

from bench_server.data_folder import DataFolder
from bench_server.database import copy_sqlite
from bench_server.errors import FolderError, ServerError


@dataclass(frozen=True)
class Usage:
    """What a part of a server's data takes.

    Args:
        kind: What it is.
        project: Whose, where it is a project's; empty otherwise.
        bytes: Its size.
    """

    kind: str
    project: str
    bytes: int


def back_up(folder: DataFolder, target: Path) -> int:
    """Copy a server's data while it runs. Into the same target again, only what is new is copied.

    Args:
        folder: The server's folder; its database is SQLite.
        target: A folder; made if absent.

    Returns:
        How many blobs were copied.

    Raises:
        ServerError: It cannot be copied.
    """
    try:
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The database first: what it names is there unless it is removed meanwhile; no blob ever changes.
        copy_sqlite(folder.database, target / folder.database.name)
        copied = sum(_copy_blob(path, target / path.relative_to(folder.path)) for path in _blobs(folder.path))
        if (folder.path / "tls").exists():  # clients would not know the restored server by another authority
            shutil.copytree(folder.path / "tls", target / "tls", dirs_exist_ok=True)
        if folder.secrets_key.exists():
            shutil.copy2(folder.secrets_key, target / folder.secrets_key.name)
        for log in [*folder.logs.glob("*/*"), *folder.tracks.glob("*/*/*")]:
            _copy_log(log, target / log.relative_to(folder.path))
        for name in ("secret.key", "server.json"):  # last: without it the target is no server's folder
            shutil.copy2(folder.path / name, target / name)
        sync_folder(target)
    except (OSError, sqlite3.Error) as error:
        raise ServerError(
            f"the backup was not finished: {error}", hint="Run it again: it goes on."
        ) from error
    return copied


def restore(source: Path, target: Path) -> None:
    """Make a server's folder from a backup.

    Raises:
        FolderError: The source is no backup, or the target is not empty.
    """
    if not (source / "server.json").exists():
        raise FolderError(
            f"{source} is no backup", hint="Name the folder that `bench-server backup` was given."
        )
    if target.exists() and any(target.iterdir()):
        raise FolderError(f"{target} is not empty", hint="Name another folder with --data, or move it away.")
    try:
        shutil.copytree(source, target, dirs_exist_ok=True)
        target.chmod(0o700)
    except (OSError, shutil.Error) as error:
        raise FolderError(f"the backup was not restored: {error}") from error


def check(folder: DataFolder, *, digests: bool) -> Iterator[str]:
    """Look for what is wrong with a server's data. Django must be set up.

    Args:
        folder: The server's folder.
        digests: Read every blob and compare its digest.

    Yields:
        A line for each problem.
    """
    from django.db import connection

    from bench_server.datasets.blobs import the_store
    from bench_server.datasets.models import Blob

    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA integrity_check")
            yield from (f"the database: {row[0]}" for row in cursor.fetchall() if row[0] != "ok")
    store = the_store()
    for digest, size in Blob.objects.order_by("digest").values_list("digest", "size_bytes").iterator():
        found = store.size(digest)
        if found is None:
            yield f"blob {digest}: missing"
        elif found != size:
            yield f"blob {digest}: has {found:,} bytes, and not {size:,}"
        elif digests and _digest(store.read(digest, 0, size)) != digest:
            yield f"blob {digest}: its bytes are others"


def usage(folder: DataFolder) -> list[Usage]:
    """What a server's data takes, by kind and project, and what is free on its disk. Django must be set up.

    Blobs are the data of datasets, the code of versions and runs, and checkpoints from elsewhere. One that
    several projects have is on the disk once, and counted for each of them.
    """
    from bench_server.datasets.blobs import stored_bytes
    from bench_server.projects.models import Project
    from bench_server.runs.garbage import sizes_by_project
    from bench_server.runs.image_garbage import image_sizes

    parts = {
        "database": f"{folder.database.name}*",
        "blobs": "blobs",
        "uploads": "uploads",
        "backups": "backups",
    }
    found = [Usage(kind, "", sum(map(_size, folder.path.glob(pattern)))) for kind, pattern in parts.items()]
    projects = Project.objects.order_by("name")
    found += [Usage("blobs", project.name, size) for project in projects if (size := stored_bytes(project))]
    found += [Usage(*part) for part in sizes_by_project(folder)]
    found += [Usage(kind, "", size) for kind, size in image_sizes(folder)]
    return [*found, Usage("free on the disk", "", shutil.disk_usage(folder.path).free)]


def _blobs(folder: Path) -> Iterator[Path]:
    return folder.glob("blobs/??/*")


def _copy_blob(source: Path, target: Path) -> bool:
    if target.exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".tmp")
    with contextlib.suppress(FileNotFoundError):  # gc has removed it since it was listed
        shutil.copyfile(source, temporary)
        with temporary.open("rb") as file:
            sync_file(file.fileno())
        os.replace(temporary, target)
        return True
    return False


def _copy_log(source: Path, target: Path) -> None:
    """Copy a log or a track's media, which only grow, if it has grown since the last time."""
    with contextlib.suppress(FileNotFoundError):  # its run was deleted
        if not target.exists() or target.stat().st_size != source.stat().st_size:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copy2(source, target)


def _digest(pieces: Iterator[bytes]) -> str:
    hasher = blake3()
    for piece in pieces:
        hasher.update(piece)
    return hasher.hexdigest()


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
