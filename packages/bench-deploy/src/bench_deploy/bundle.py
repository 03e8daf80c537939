"""A bundle: a stored ZIP whose bytes follow from the code alone (docs/decisions/0025-bundles.md)."""

import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from secrets import token_hex

from blake3 import blake3

from bench_deploy.bundle_plan import (
    MAX_BYTES,
    MAX_FILES,
    MAX_PATH_BYTES,
    BundlePlan,
    PlannedFile,
    stays_inside,
)
from bench_deploy.errors import BundleError

PIECE_BYTES = 1 << 20
UNIX = 3  # the system whose permissions a ZIP's entry has

HOSTILE = (zipfile.BadZipFile, struct.error, EOFError, OSError, RuntimeError, ValueError, OverflowError)
"""What zipfile raises for bytes that nobody would write (NotImplementedError is a RuntimeError)."""


class FileKind(Enum):
    """What a file of a bundle is. The value is its mode in the ZIP."""

    PLAIN = stat.S_IFREG | 0o644
    EXECUTABLE = stat.S_IFREG | 0o755
    LINK = stat.S_IFLNK | 0o777


@dataclass(frozen=True)
class BundleFile:
    """A file of a bundle.

    Args:
        path: From the project's folder, with `/`.
        kind: What it is.
        size: Its bytes; a link's are its target.
        digest: BLAKE3 of them, hex.
    """

    path: str
    kind: FileKind
    size: int
    digest: str


@dataclass(frozen=True)
class Bundle:
    """A bundle on the disk.

    Args:
        path: Where it lies.
        digest: BLAKE3 of its bytes, hex: the same code has the same one on every machine.
        size: Its bytes.
        files: Sorted by path.
    """

    path: Path
    digest: str
    size: int
    files: tuple[BundleFile, ...]


@contextmanager
def packed(plan: BundlePlan) -> Iterator[Bundle]:
    """The bundle of a plan, in `.bench` of the project's folder for as long as the context lasts.

    Args:
        plan: What it has.

    Raises:
        BundleError: A file cannot be read, or changed meanwhile.
    """
    path = plan.folder / ".bench" / f"bundle-{token_hex(4)}.zip"
    try:
        path.parent.mkdir(exist_ok=True)
        files = _write(plan, path)
        yield Bundle(path, _digest(path), path.stat().st_size, files)
    except OSError as error:
        raise BundleError(f"{error.filename or path}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def check_bundle(path: str | os.PathLike[str]) -> tuple[BundleFile, ...]:
    """Read a bundle that a stranger may have made: every byte is checked, and nothing is unpacked.

    Args:
        path: Where it lies.

    Returns:
        Its files, sorted by path.

    Raises:
        BundleError: It is none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_limits(entries, os.path.getsize(path))
            files = tuple(_check_entry(archive, entry) for entry in entries)
    except HOSTILE as error:
        raise BundleError(f"the bundle is no stored ZIP: {str(error)[:200]}") from None
    _check_paths(files)
    return files


def _write(plan: BundlePlan, path: Path) -> tuple[BundleFile, ...]:
    with zipfile.ZipFile(path, "x", zipfile.ZIP_STORED, allowZip64=False) as archive:
        return tuple(_add(archive, plan.folder, file) for file in plan.files)


def _add(archive: zipfile.ZipFile, folder: Path, file: PlannedFile) -> BundleFile:
    kind = FileKind.EXECUTABLE if file.is_executable else FileKind.PLAIN
    if file.target is not None:
        kind, data = FileKind.LINK, file.target.encode()
    else:
        data = _read(folder / file.path, file)
    entry = zipfile.ZipInfo(file.path)  # its time is 1980, as of all of them
    entry.create_system, entry.external_attr = UNIX, kind.value << 16
    archive.writestr(entry, data)
    return BundleFile(file.path, kind, len(data), blake3(data).hexdigest())


def _read(path: Path, file: PlannedFile) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor, "rb") as opened:
        data = opened.read(file.size + 1)
    if len(data) != file.size:
        raise BundleError(f"{path} changed while it was read", hint="Run it again.")
    return data


def _digest(path: Path) -> str:
    hasher = blake3()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            hasher.update(piece)
    return hasher.hexdigest()


def _check_limits(entries: list[zipfile.ZipInfo], size: int) -> None:
    claimed = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_FILES or claimed > MAX_BYTES:
        raise BundleError(f"the bundle has {len(entries):,} files with {claimed:,} bytes: too many")
    if claimed > size:
        raise BundleError("the bundle's files overlap")


def _check_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> BundleFile:
    path = entry.filename
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.create_system != UNIX:
        raise BundleError(f"{path!r} is not stored as a bundle's files are")
    try:
        kind = FileKind(entry.external_attr >> 16)
    except ValueError:
        raise BundleError(f"{path!r} is neither a file nor a link") from None
    odd = path.startswith("/") or "\\" in path or len(path.encode()) > MAX_PATH_BYTES
    if odd or any(part in ("", ".", "..") for part in path.split("/")):
        raise BundleError(f"{path[:200]!r} is no path of a file in a project")
    hasher, data = blake3(), b""
    with archive.open(entry) as opened:  # compares the CRC at the end
        while piece := opened.read(PIECE_BYTES):
            hasher.update(piece)
            data = piece
    if kind is FileKind.LINK and not (len(data) == entry.file_size and _is_good_link(path, data)):
        raise BundleError(f"{path!r} is a link that leaves the project")
    return BundleFile(path, kind, entry.file_size, hasher.hexdigest())


def _is_good_link(path: str, data: bytes) -> bool:
    try:
        return stays_inside(path, data.decode())
    except UnicodeDecodeError:
        return False


def _check_paths(files: tuple[BundleFile, ...]) -> None:
    paths = [file.path for file in files]
    if paths != sorted(set(paths)):
        raise BundleError("the bundle's files are not sorted, or one comes twice")
    there = set(paths)
    for path in paths:
        if any(path[:at] in there for at, letter in enumerate(path) if letter == "/"):
            raise BundleError(f"{path!r} lies in a file or a link")
