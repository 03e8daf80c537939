"""Blobs of a project, in and out."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from bench_data.options import usable_cpus
from blake3 import blake3
from django.conf import settings
from django.db import transaction
from django.db.models import Sum

from bench_server.datasets.models import Blob, ProjectBlob
from bench_server.datasets.store import MESSAGE_BYTES, Busy, Damaged, LocalStore, Part, Store
from bench_server.errors import Refused, invalid
from bench_server.projects.models import Project
from bench_server.projects.services import lock

LOOKUP = 500
"""Digests in one query: SQLite takes some hundred parameters at least."""


def the_store() -> Store:
    """The server's store."""
    return LocalStore(settings.FOLDER.path)


def stored_bytes(project: Project) -> int:
    """What a project's blobs take."""
    return project.blobs.aggregate(total=Sum("blob__size_bytes"))["total"] or 0


def sizes(project: Project, digests: Iterable[str]) -> dict[str, int]:
    """The sizes of those blobs that the project has."""
    found: dict[str, int] = {}
    waiting = iter(digests)
    while batch := list(islice(waiting, LOOKUP)):
        rows = ProjectBlob.objects.filter(project=project, blob__in=batch)
        found.update(rows.values_list("blob_id", "blob__size_bytes"))
    return found


def received(project: Project, digests: Sequence[str]) -> list[tuple[int, bool]]:
    """How many bytes of each blob are there, and whether the project has it, undamaged."""
    whole, store = sizes(project, digests), the_store()
    return [
        (whole[digest], True)
        if digest in whole and store.size(digest) == whole[digest]
        else (store.received(str(project.pk), digest), False)
        for digest in digests
    ]


def receive(project: Project, digest: str, size: int, offset: int, messages: Iterable[bytes]) -> int:
    """Take in a blob, or the rest of one.

    Args:
        project: Whose.
        digest: Its BLAKE3, hex.
        size: Its bytes.
        offset: Where `messages` begin: as many bytes as are there.
        messages: The bytes.

    Returns:
        The bytes that are there now: `size` if the blob is whole.

    Raises:
        Refused: See UploadBlob.
    """
    if size < 0:
        raise invalid("size_bytes", f"{size} is negative")
    [(there, complete)] = received(project, [digest])
    if complete:
        return there
    _check_quota(project, {digest: size})
    try:
        with the_store().part(str(project.pk), digest) as part:
            if part.received > size:
                part.drop()  # an earlier call claimed a larger size
                raise Refused("OFFSET_MISMATCH", "the blob begins anew", received_bytes=0)
            if offset != part.received:
                raise Refused(
                    "OFFSET_MISMATCH",
                    f"the server has {part.received} bytes of this blob, and the data begins at {offset}",
                    received_bytes=part.received,
                )
            _append(part, digest, size, messages)
            if part.received == size:
                _register(project, digest, size, part)
            return part.received
    except Busy:
        raise Refused(
            "UPLOAD_IN_PROGRESS", f"blob {digest[:12]} is being sent by another call", hint="Wait for it."
        ) from None


def adopt(project: Project, files: Sequence[tuple[str, str]]) -> None:
    """Make blobs of those files in the store's `incoming` folder that can be; the others are left alone.

    Args:
        project: Whose the blobs are to be.
        files: The digest of each, and its name in that folder.

    Raises:
        Refused: QUOTA_EXCEEDED.
    """
    store = the_store()
    with ThreadPoolExecutor(usable_cpus()) as threads:  # BLAKE3 runs without the interpreter's lock
        looked_at = threads.map(lambda file: (file[0], store.adopt(file[1], file[0])), files)
        found = {digest: adopted for digest, adopted in looked_at if adopted is not None}
    added = {digest: adopted.size for digest, adopted in found.items()}
    with store.exclusive(), transaction.atomic():
        lock(project)
        _check_quota(project, added)
        for adopted in found.values():
            adopted.place()
        store.sync(list(found))
        _own(project, added)


def lend(project: Project, digests: Sequence[str]) -> list[str]:
    """Where blobs of a project can be linked from; empty for those that have to be downloaded."""
    owned, store = sizes(project, digests), the_store()
    return [_lent(store, digest) if digest in owned else "" for digest in digests]


def _lent(store: Store, digest: str) -> str:
    try:
        return str(store.lend(digest) or "")
    except Damaged:
        return ""


def find(project: Project, digest: str) -> int:
    """The size of a blob of the project.

    Raises:
        Refused: BLOB_NOT_FOUND.
    """
    size = sizes(project, [digest]).get(digest)
    if size is None:
        raise Refused("BLOB_NOT_FOUND", f"the project has no blob {digest[:64]!r}")
    return size


def read(project: Project, digest: str, offset: int, length: int) -> Iterator[bytes]:
    """A range of a blob.

    Args:
        project: Whose.
        digest: Its BLAKE3, hex.
        offset: Where the range begins.
        length: Its bytes; 0: to the end.

    Raises:
        Refused: BLOB_NOT_FOUND, RANGE_INVALID, BLOB_DAMAGED.
    """
    size = find(project, digest)
    end = offset + length if length else size
    if not 0 <= offset <= end <= size or length < 0:
        raise Refused("RANGE_INVALID", f"the blob has {size} bytes", size_bytes=size)
    try:
        yield from the_store().read(digest, offset, end - offset)
    except Damaged:
        raise Refused(
            "BLOB_DAMAGED",
            f"blob {digest[:12]} was changed on the server's disk, or is gone from it",
            hint="Push the dataset again: only what is damaged goes over.",
        ) from None


def _append(part: Part, digest: str, size: int, messages: Iterable[bytes]) -> None:
    hasher = blake3()
    for piece in part.pieces():
        hasher.update(piece)
    for data in messages:
        if not 0 < len(data) <= MESSAGE_BYTES:
            raise invalid("data", f"has {len(data)} bytes; 1 to {MESSAGE_BYTES} are taken")
        if part.received + len(data) > size:
            raise invalid("data", f"goes beyond size_bytes ({size})")
        part.write(data)
        hasher.update(data)
    if part.received == size and hasher.hexdigest() != digest:
        part.drop()
        raise Refused(
            "DIGEST_MISMATCH",
            f"the bytes sent for blob {digest[:12]} are others",
            hint="Send it again; if it happens twice, verify the dataset.",
        )


def _register(project: Project, digest: str, size: int, part: Part) -> None:
    with the_store().exclusive(), transaction.atomic():
        lock(project)  # two uploads must not both take the last bytes
        _check_quota(project, {digest: size})
        part.place()
        _own(project, {digest: size})


def _own(project: Project, found: dict[str, int]) -> None:
    """Note that a project has these blobs, given with their sizes."""
    rows = [Blob(digest=digest, size_bytes=size) for digest, size in found.items()]
    Blob.objects.bulk_create(rows, ignore_conflicts=True)
    mine = [ProjectBlob(project=project, blob_id=digest) for digest in found]
    ProjectBlob.objects.bulk_create(mine, ignore_conflicts=True)


def _check_quota(project: Project, wanted: dict[str, int]) -> None:
    """Whether a project may have these blobs, given with their sizes, too."""
    if not project.quota_bytes:
        return
    there = sizes(project, wanted)
    added = sum(size for digest, size in wanted.items() if digest not in there)
    quota, stored = project.quota_bytes, stored_bytes(project)
    if stored + added > quota:
        raise Refused(
            "QUOTA_EXCEEDED",
            f"{project.name} may take {quota:,} bytes, has {stored:,}, and this would be {added:,} more",
            hint="Delete versions, or ask who runs the server for more.",
            quota_bytes=quota,
            stored_bytes=stored,
        )
