"""Dataset versions: made whole from blobs that are there, found, listed, deleted."""

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from bench_data.errors import DataError
from bench_data.label_tree import describe, tree_from_json
from bench_data.manifest import MANIFEST, Manifest, chunk_name, read_segment_digests, segment_name
from bench_data.validation import check_chunks, read_checked_manifest
from django.conf import settings
from django.db import transaction
from django.db.models import Count, Max, OuterRef, QuerySet, Subquery

from bench_server.accounts.models import User
from bench_server.code.models import ProjectVersion
from bench_server.data_folder import CHECK_PREFIX
from bench_server.datasets import blobs
from bench_server.datasets.models import Dataset, Version, VersionBlob
from bench_server.datasets.store import Damaged
from bench_server.errors import Refused, invalid
from bench_server.prepared import Prepared
from bench_server.projects.models import Project
from bench_server.projects.services import lock

HOSTILE = (ArithmeticError, LookupError, TypeError, ValueError)
"""What bytes that nobody would write can lead to beside the errors of bench-data."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

_VERSIONS = Version.objects.select_related("dataset", "creator").order_by("-number")
_LATEST = Prepared(_VERSIONS, "dataset__project_id", "dataset__name")
_NUMBERED = Prepared(_VERSIONS, "dataset__project_id", "dataset__name", "number")

_SIBLINGS = Version.objects.filter(dataset=OuterRef("dataset")).order_by().values("dataset")
_NEWEST = (
    Version.objects.select_related("dataset", "creator")
    .defer("manifest")
    .annotate(version_count=Subquery(_SIBLINGS.annotate(count=Count("pk")).values("count")))
    .filter(number=Subquery(_SIBLINGS.annotate(newest=Max("number")).values("newest")))
    .order_by("dataset__name")
)
_NEWEST_AFTER = Prepared(_NEWEST, "dataset__project_id", "dataset__name__gt")


def create_version(
    project: Project, user: User, dataset: str, request_id: UUID, manifest: bytes
) -> tuple[Version, bool]:
    """Make a version from blobs that the project has.

    Args:
        project: Whose.
        user: Who makes it.
        dataset: The dataset's name.
        request_id: The caller's; the same one gives the same version.
        manifest: The bytes of dataset.json.

    Returns:
        The version, and whether it was there: the same content is the same version.

    Raises:
        Refused: FIELD_INVALID, MANIFEST_INVALID, BLOBS_MISSING, CHUNK_INVALID.
    """
    if not NAME.fullmatch(dataset):
        raise invalid(
            "dataset", "must have 1 to 100 letters, digits and . - _, and begin with a letter or digit"
        )
    if made := _made_before(project, dataset, request_id, manifest):
        return made, True
    with tempfile.TemporaryDirectory(prefix=CHECK_PREFIX, dir=settings.FOLDER.path) as folder:
        checked = _check(project, Path(folder), manifest)
        digests = sorted({*checked.segment_digests, *checked.chunk_digests})
        stored = blobs.sizes(project, digests)
        version = Version(
            creator=user,
            request_id=request_id,
            fingerprint=checked.fingerprint,
            manifest=manifest,
            sample_count=checked.samples,
            chunk_count=len(checked.chunk_digests),
            stored_bytes=sum(stored.values()),
        )
    return _record(project, dataset, version, digests)


def _made_before(project: Project, dataset: str, request_id: UUID, manifest: bytes) -> Version | None:
    """The version of this request, or the latest one if it has this very content."""
    versions = Version.objects.filter(dataset__project=project, dataset__name=dataset)
    if of_request := versions.filter(request_id=request_id).first():
        return of_request
    latest = versions.order_by("-number").first()
    return latest if latest is not None and bytes(latest.manifest) == manifest else None


def _check(project: Project, folder: Path, manifest: bytes) -> Manifest:
    """Put a dataset together from blobs and check all of it."""
    (folder / MANIFEST).write_bytes(manifest)
    (folder / "chunks").mkdir()
    try:
        segments = read_segment_digests(folder)
        link_files(project, folder, {digest: segment_name(digest) for digest in segments})
        checked = read_checked_manifest(folder)
    except (DataError, *HOSTILE) as error:
        raise _refused("MANIFEST_INVALID", folder, error) from None
    found = link_files(project, folder, {digest: chunk_name(digest) for digest in checked.chunk_digests})
    for digest, size in zip(checked.chunk_digests, checked.chunk_sizes, strict=True):
        if found[digest] != size:
            raise Refused("CHUNK_INVALID", f"chunk {digest[:12]} has {found[digest]} bytes, and not {size}")
    try:
        check_chunks(checked)
    except (DataError, *HOSTILE) as error:
        raise _refused("CHUNK_INVALID", folder, error) from None
    return checked


def link_files(project: Project, folder: Path, names: dict[str, str]) -> dict[str, int]:
    """Give blobs the names they have in a dataset; their sizes.

    Args:
        project: Whose.
        folder: The dataset's.
        names: Of the files in it, by digest.

    Raises:
        Refused: BLOBS_MISSING.
    """
    found = blobs.sizes(project, names)
    missing = [digest for digest in names if digest not in found]
    if missing:
        raise _missing(missing, names)
    store = blobs.the_store()
    for digest, name in names.items():
        try:
            store.link(digest, folder / name)
        except Damaged:
            raise _missing([digest], names) from None
    return found


def _missing(missing: list[str], names: dict[str, str]) -> Refused:
    return Refused(
        "BLOBS_MISSING",
        f"{len(missing)} of the dataset's files are not there, such as {names[missing[0]]}",
        hint="Push the dataset again.",
        missing_count=len(missing),
        digest=missing[0],
    )


def _refused(reason: str, folder: Path, error: Exception) -> Refused:
    what = error.message if isinstance(error, DataError) else f"not readable ({type(error).__name__})"
    return Refused(reason, what.replace(f"{folder}/", ""), hint="Verify the dataset, and push it again.")


def _record(project: Project, name: str, version: Version, digests: list[str]) -> tuple[Version, bool]:
    with transaction.atomic():
        lock(project)
        if made := _made_before(project, name, version.request_id, bytes(version.manifest)):
            return made, True
        if len(blobs.sizes(project, digests)) != len(digests):
            raise Refused("BLOBS_MISSING", "a file was removed meanwhile", hint="Push the dataset again.")
        dataset, _ = Dataset.objects.get_or_create(project=project, name=name)
        dataset.last_number += 1
        dataset.save(update_fields=["last_number"])
        version.dataset, version.number = dataset, dataset.last_number
        version.save(force_insert=True)
        VersionBlob.objects.bulk_create(VersionBlob(version=version, blob_id=digest) for digest in digests)
        return version, False


def versions_of(project: Project, dataset: str) -> QuerySet[Version]:
    """A dataset's versions, newest first, each without its manifest until that is asked for.

    Raises:
        Refused: DATASET_NOT_FOUND.
    """
    if not project.datasets.filter(name=dataset).exists():
        raise _no_dataset(project, dataset)
    return _VERSIONS.filter(dataset__project=project, dataset__name=dataset).defer("manifest")


def _no_dataset(project: Project, dataset: str) -> Refused:
    return Refused("DATASET_NOT_FOUND", f"{project.name} has no dataset {dataset!r}")


def find_version(project: Project, dataset: str, number: int) -> Version:
    """One version; number 0 is the latest.

    Raises:
        Refused: DATASET_NOT_FOUND, VERSION_NOT_FOUND.
    """
    place = (project.pk, dataset)
    found = _NUMBERED.first(*place, number) if number else _LATEST.first(*place)
    if found is not None:
        return found
    if not project.datasets.filter(name=dataset).exists():
        raise _no_dataset(project, dataset)
    raise Refused("VERSION_NOT_FOUND", f"{dataset!r} has no version {number}")


def newest_versions(project: Project) -> QuerySet[Version]:
    """The newest version of each dataset, ordered by the datasets' names.

    Each has its dataset's number of versions as `version_count`, and no manifest until that is asked for.
    """
    return _NEWEST.filter(dataset__project=project)


def some_newest_versions(project: Project, after: str, count: int) -> Sequence[Version]:
    """So many of these, of the datasets whose names come after one."""
    return _NEWEST_AFTER.some(count, project.pk, after)


def schema_of(version: Version) -> str:
    """The structure of a version's labels in a few words."""
    return describe(tree_from_json(json.loads(bytes(version.manifest))["labels"]))


def delete_version(version: Version, *, force: bool) -> None:
    """Delete a version, and its dataset with the last one. Blobs leave with the next gc.

    Args:
        version: The version.
        force: Also if versions of the project pin it.

    Raises:
        Refused: VERSION_PINNED.
    """
    with transaction.atomic():
        lock(version.dataset.project)  # who makes a version of the project pins it first, or not at all
        if not force:
            _refuse_pinned(version)
        dataset = Dataset.objects.select_for_update().get(pk=version.dataset_id)
        version.delete()
        if not dataset.versions.exists():
            dataset.delete()


def pinned_by(version: Version) -> list[int]:
    """The numbers of the project's versions that pin a dataset version, ascending."""
    found = ProjectVersion.objects.filter(pins__dataset_version=version)
    return list(found.order_by("number").values_list("number", flat=True))


def _refuse_pinned(version: Version) -> None:
    if numbers := pinned_by(version):
        raise Refused(
            "VERSION_PINNED",
            f"version {version.number} of {version.dataset.name!r} is pinned by {len(numbers)} versions of "
            f"the project, the latest of them {numbers[-1]}",
            hint="Without it they cannot be run again. Delete it with `force` if they need not be.",
            project_version_number=numbers[-1],
        )
    if names := list(version.run_pins.order_by("-run").values_list("run__name", flat=True)):
        raise Refused(
            "VERSION_PINNED",
            f"version {version.number} of {version.dataset.name!r} is pinned by {len(names)} runs, "
            f"the latest of them {names[0]}",
            hint="Without it they cannot be run again. Delete it with `force` if they need not be.",
        )
