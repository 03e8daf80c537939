"""Versions of projects: made from a bundle that is there, found and listed."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from bench_deploy.bundle import BundleFile, check_bundle
from bench_deploy.bundle_plan import MAX_BYTES
from bench_deploy.errors import BundleError
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from bench_server.accounts.models import User
from bench_server.code.models import Bundle, Pin, ProjectVersion
from bench_server.data_folder import CHECK_PREFIX
from bench_server.datasets import blobs
from bench_server.datasets.models import Version
from bench_server.datasets.services import find_version as find_dataset_version
from bench_server.errors import Refused, invalid
from bench_server.projects.models import Project
from bench_server.projects.services import lock

COMMIT = re.compile("([0-9a-f]{40}|[0-9a-f]{64})?")
MAX_DATASETS = 1000
MAX_MESSAGE = 1000
MAX_BUNDLE_BYTES = 2 * MAX_BYTES
"""Names and the ZIP's own tables come to the bytes of the files."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a version's code is from, and why it was made.

    Args:
        git_commit: The commit's hash, hex; empty if there is none.
        git_dirty: Whether the code had changes that are not in it.
        message: For people.

    Raises:
        Refused: FIELD_INVALID.
    """

    git_commit: str
    git_dirty: bool
    message: str

    def __post_init__(self) -> None:
        if not COMMIT.fullmatch(self.git_commit):
            raise invalid("git_commit", f"{self.git_commit[:80]!r} is no hash: 40 or 64 hex digits")
        if len(self.message) > MAX_MESSAGE or "\0" in self.message:
            raise invalid(
                "message", f"has {len(self.message):,} characters; at most {MAX_MESSAGE:,} are taken"
            )


def create_version(
    project: Project,
    user: User,
    request_id: UUID,
    bundle_digest: str,
    datasets: Sequence[tuple[str, int]],
    origin: Origin,
) -> tuple[ProjectVersion, bool]:
    """Make a version from a bundle that the project has.

    Args:
        project: Whose.
        user: Who makes it.
        request_id: The caller's; the same one gives the same version.
        bundle_digest: The blob's.
        datasets: Names and numbers of the versions to pin.
        origin: Where the code is from.

    Returns:
        The version, and whether it was there: the same bundle and datasets are the same version.

    Raises:
        Refused: FIELD_INVALID, BLOBS_MISSING, BUNDLE_INVALID, DATASET_NOT_FOUND, VERSION_NOT_FOUND.
    """
    if made := project.versions.filter(request_id=request_id).first():
        return made, True
    check_pins(datasets)
    register_bundle(project, bundle_digest)
    with transaction.atomic():
        lock(project)
        pinned = [find_dataset_version(project, name, number) for name, number in sorted(datasets)]
        latest = versions_of(project).first()
        if made := project.versions.filter(request_id=request_id).first():
            return made, True
        if latest is not None and _is_same(latest, bundle_digest, pinned):
            return latest, True
        bundle = find_bundle(project, bundle_digest)
        version = ProjectVersion.objects.create(
            project=project,
            number=latest.number + 1 if latest else 1,
            request_id=request_id,
            bundle=bundle,
            file_count=len(bundle.files),
            creator=user,
            git_commit=origin.git_commit,
            git_dirty=origin.git_dirty,
            message=origin.message,
        )
        Pin.objects.bulk_create(_pin(version, found) for found in pinned)
        return version, False


def versions_of(project: Project) -> QuerySet[ProjectVersion]:
    """A project's versions, newest first."""
    rows = project.versions.select_related("creator", "bundle__blob").defer("bundle__files")
    return rows.prefetch_related("pins").order_by("-number")


def find_version(project: Project, number: int) -> ProjectVersion:
    """One version; number 0 is the latest.

    Raises:
        Refused: PROJECT_VERSION_NOT_FOUND.
    """
    versions = versions_of(project)
    found = versions.filter(number=number).first() if number else versions.first()
    if found is None:
        what = f"version {number}" if number else "version yet"
        raise Refused(
            "PROJECT_VERSION_NOT_FOUND",
            f"{project.name} has no {what}",
            hint="`python manage.py --makemigrations` makes one.",
        )
    return found


def check_pins(datasets: Sequence[tuple[str, int]]) -> None:
    """Whether these names and numbers can be pinned.

    Raises:
        Refused: FIELD_INVALID.
    """
    names = {name for name, _ in datasets}
    if len(datasets) > MAX_DATASETS or len(names) < len(datasets):
        raise invalid("datasets", f"must be at most {MAX_DATASETS:,}, and each once")
    if any(number < 1 for _, number in datasets):
        raise invalid("datasets", "must each name one version")


def register_bundle(project: Project, digest: str) -> None:
    """Check a bundle, and keep its listing; once is enough.

    Raises:
        Refused: BLOBS_MISSING, BUNDLE_INVALID.
    """
    size = blobs.sizes(project, [digest]).get(digest)
    if size is None:
        raise _missing(digest)
    if Bundle.objects.filter(pk=digest).exists():
        return
    files = _check(digest, size)
    with transaction.atomic():
        lock(project)
        if digest not in blobs.sizes(project, [digest]):
            raise _missing(digest)  # gc has taken it since
        rows = [[file.path, file.kind.name, file.size, file.digest] for file in files]
        Bundle.objects.get_or_create(blob_id=digest, defaults={"files": rows})


def find_bundle(project: Project, digest: str) -> Bundle:
    """A registered bundle of a project; for who holds the project's lock, it stays.

    Raises:
        Refused: BLOBS_MISSING.
    """
    bundle = Bundle.objects.filter(pk=digest, blob__projects__project=project).first()
    if bundle is None:
        raise _missing(digest)
    return bundle


def _check(digest: str, size: int) -> tuple[BundleFile, ...]:
    if size > MAX_BUNDLE_BYTES:
        raise Refused(
            "BUNDLE_INVALID", f"the bundle has {size:,} bytes; at most {MAX_BUNDLE_BYTES:,} are taken"
        )
    with tempfile.TemporaryDirectory(prefix=CHECK_PREFIX, dir=settings.FOLDER.path) as folder:
        path = Path(folder) / "bundle.zip"
        with path.open("wb") as file:
            for piece in blobs.the_store().read(digest, 0, size):
                file.write(piece)
        try:
            return check_bundle(path)
        except BundleError as error:
            raise Refused("BUNDLE_INVALID", error.message, hint="Pack and send it again.") from None


def _missing(digest: str) -> Refused:
    return Refused(
        "BLOBS_MISSING",
        f"the project has no bundle {digest[:12]}",
        hint="Upload it, and try again.",
        digest=digest,
    )


def _is_same(latest: ProjectVersion, bundle_digest: str, pinned: list[Version]) -> bool:
    before = {pin.dataset_version_id for pin in latest.pins.all()}
    return latest.bundle_id == bundle_digest and before == {version.pk for version in pinned}


def _pin(version: ProjectVersion, pinned: Version) -> Pin:
    return Pin(
        project_version=version,
        dataset_version=pinned,
        dataset=pinned.dataset.name,
        number=pinned.number,
        fingerprint=pinned.fingerprint,
    )
