"""What a server's owner does on its machine, whether the server runs or not. Commands only translate."""

import datetime
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from bench_server import maintenance
from bench_server.data_folder import DataFolder, open_folder
from bench_server.errors import ServerError

DATABASE_VARIABLE = "BENCH_DATABASE_URL"
"""PostgreSQL instead of SQLite."""


@dataclass(frozen=True)
class NewInvitation:
    """An invitation for one person.

    Args:
        secret: What the person gives; shown once.
        expire_time: When it ends.
    """

    secret: str
    expire_time: datetime.datetime


@dataclass(frozen=True, kw_only=True)
class Garbage:
    """What was found that nothing needs.

    Args:
        blobs: Blobs that no version and no run needs.
        parts: Uploads that were begun and not gone on with.
        folders: What runs and projects that were deleted have left.
        cached: Files by which the caches of runs are larger than they may be.
        images: Layers of images that were not used for long, or are too many.
        bytes: The size of all.
        problem: Why images were not looked at; empty if they were.
    """

    blobs: int
    parts: int
    folders: int
    cached: int
    images: int
    bytes: int
    problem: str


@dataclass(frozen=True, kw_only=True)
class ProjectQuota:
    """What a project takes on the server.

    Args:
        project_id: Its id.
        name: Its name.
        creator: Who made it; None: the account is gone.
        stored_bytes: What its data takes.
        quota_bytes: What it may take; 0: no limit but the disk's.
    """

    project_id: str
    name: str
    creator: str | None
    stored_bytes: int
    quota_bytes: int


def create_user(data: Path, username: str, password: str, *, owner: bool = False) -> str:
    """Make an account, and the server's folder if there is none.

    Args:
        data: The server's folder.
        username: The account's name.
        password: Its password.
        owner: Whether it is to own the server: the first account.

    Returns:
        The name as it was stored.

    Raises:
        ServerError: The name or password will not do.
    """
    use(data, create=True)
    from bench_server.accounts import services

    make = services.create_owner if owner else services.create_user
    return make(username, password).username


def invite(data: Path) -> NewInvitation:
    """Make an invitation."""
    use(data)
    from bench_server.accounts import services

    secret, invitation = services.create_invitation()
    return NewInvitation(secret, invitation.expire_time)


def check(data: Path, *, digests: bool) -> list[str]:
    """Look for what is wrong with a server's data; a line for each problem.

    Args:
        data: The server's folder.
        digests: Read every blob and compare its digest.
    """
    return list(maintenance.check(use(data), digests=digests))


def damaged(problems: Sequence[str]) -> ServerError:
    """What a check that found problems ends with."""
    return ServerError(f"problems: {len(problems)}", hint="Restore a backup, or push the datasets again.")


def back_up(data: Path, target: Path) -> int:
    """Copy a server's data; how many blobs were new.

    Raises:
        ServerError: It cannot be copied.
    """
    if os.environ.get(DATABASE_VARIABLE):
        raise ServerError(
            f"{DATABASE_VARIABLE} names a PostgreSQL database, which this does not copy",
            hint="Run pg_dump, then copy the folder.",
        )
    return maintenance.back_up(open_folder(data), target.absolute())


def restore(source: Path, data: Path) -> None:
    """Make a server's folder from a backup.

    Raises:
        FolderError: There is no backup, or the folder is not empty.
    """
    maintenance.restore(source.absolute(), data.absolute())


def collect_garbage(data: Path, *, remove: bool) -> Garbage:
    """Find what no dataset and no run needs, and remove it if told to."""
    folder = use(data)
    from bench_server.datasets import garbage
    from bench_server.runs.garbage import collect_run_garbage
    from bench_server.runs.image_garbage import collect_image_garbage

    of_runs = collect_run_garbage(folder, remove=remove)
    of_images = collect_image_garbage(folder, remove=remove)
    found = garbage.collect_garbage(remove=remove)
    return Garbage(
        blobs=found.blobs,
        parts=found.parts,
        folders=of_runs.folders,
        cached=of_runs.cached,
        images=of_images.images,
        bytes=found.bytes + of_runs.bytes + of_images.bytes,
        problem=of_images.problem,
    )


def parse_size(text: str) -> int:
    """Read a size such as 500MB, 20GB or 1.5TB, in bytes.

    Raises:
        ValueError: It is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kMGT]?)B?", text)
    if not found:
        raise ValueError(f"{text!r} is no size: such as 500MB, 20GB, 1.5TB")
    factor: int = 1000 ** " kMGT".index(found[2] or " ")
    return round(float(found[1]) * factor)


def list_quotas(data: Path) -> list[ProjectQuota]:
    """What each project takes and may take."""
    use(data)
    from bench_server.datasets.blobs import stored_bytes
    from bench_server.projects.models import Project

    return [
        ProjectQuota(
            project_id=str(project.pk),
            name=project.name,
            creator=project.creator.username if project.creator else None,
            stored_bytes=stored_bytes(project),
            quota_bytes=project.quota_bytes,
        )
        for project in Project.objects.select_related("creator").order_by("pk")
    ]


def set_quota(data: Path, project_id: str, quota_bytes: int) -> None:
    """Say what a project may take; 0: no limit but the disk's.

    Raises:
        Refused: There is no such project.
    """
    use(data)
    from bench_server.projects import services

    services.set_quota(project_id, quota_bytes)


def disk_usage(data: Path) -> list[maintenance.Usage]:
    """What the server's data takes, by kind and project, and what is free on its disk."""
    return maintenance.usage(use(data))


def set_up_django(folder: DataFolder) -> None:
    """Make Django ready for this process."""
    import django

    os.environ["BENCH_SERVER_DATA"] = str(folder.path)
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench_server.settings"
    django.setup()


def use(data: Path, *, create: bool = False) -> DataFolder:
    """Open the folder, with its database ready for this process, whether the server runs or not."""
    folder = open_folder(data, create=create)
    set_up_django(folder)
    from bench_server.database import migrate

    try:
        with FileLock(folder.lock, timeout=0):
            migrate(folder)
    except Timeout:
        pass  # it runs, so its tables are ready
    return folder
