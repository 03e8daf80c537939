"""The files that a run left. The training has controlled them: nothing is trusted, and no link followed."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from blake3 import blake3
from django.conf import settings

from bench_server.errors import Refused
from bench_server.runs.models import Run

ROOTS = ("output", "work")

DEPTH = 64
"""Of folders in folders. What lies deeper was made to be a nuisance, and is not shown."""

PIECE_BYTES = 1 << 20

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Artifact:
    r"""A file that a run left.

    Args:
        path: `output/...` or `work/...`. Bytes of a name that are no UTF-8 are shown as \xNN.
        size: Its bytes.
        modify_seconds: When it was changed, Unix time.
    """

    path: str
    size: int
    modify_seconds: int


def artifacts_of(run: Run) -> list[Artifact]:
    """The files, by path: all of `output`, and of `work` what is no code or was changed."""
    files = run.bundle.files if run.bundle else []
    code = {path: (size, digest) for path, _, size, digest in files}
    found: list[Artifact] = []
    with _folder_of(run) as folder:
        for root in ROOTS:
            found += [
                artifact
                for artifact, parent, name in _walk(folder, (root,), root)
                if not _is_code(artifact, parent, name, code)
            ]
    return sorted(found, key=lambda artifact: artifact.path)


def size_of_artifact(run: Run, path: str) -> int:
    """The bytes of a file that a run left.

    Raises:
        Refused: ARTIFACT_NOT_FOUND.
    """
    descriptor = _open(run, path)
    try:
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def read_artifact(run: Run, path: str, start: int, length: int) -> Iterator[bytes]:
    """A range of a file that a run left.

    Args:
        run: Whose.
        path: As it was listed.
        start: The first byte.
        length: Bytes; 0: to the end.

    Raises:
        Refused: ARTIFACT_NOT_FOUND, RANGE_INVALID.
    """
    descriptor = _open(run, path)
    try:
        size = os.fstat(descriptor).st_size
        end = start + length if length else size
        if not 0 <= start <= end <= size or length < 0:
            raise Refused("RANGE_INVALID", f"the file has {size:,} bytes", size_bytes=size)
        while start < end and (piece := os.pread(descriptor, min(PIECE_BYTES, end - start), start)):
            yield piece
            start += len(piece)
    finally:
        os.close(descriptor)


def folders_in(run: Run, path: str) -> set[str]:
    """The names of the folders in a folder of a run; none where there is no such folder."""
    try:
        descriptor = _enter(run, path.split("/"))
    except OSError:
        return set()
    try:
        with os.scandir(descriptor) as entries:
            return {_shown(entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)}
    finally:
        os.close(descriptor)


@contextmanager
def _folder_of(run: Run) -> Iterator[int]:
    """The descriptor of a run's folder; an empty one stands for one that is not there yet."""
    path = settings.FOLDER.runs / str(run.pk)
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _walk(folder: int, names: tuple[str, ...], shown: str) -> Iterator[tuple[Artifact, int, str]]:
    """The regular files below a subfolder, each with its folder's descriptor and its name."""
    try:
        descriptor = os.open(names[-1], FOLDER, dir_fd=folder)
    except OSError:  # not there, not readable, or no folder any more
        return
    try:
        with os.scandir(descriptor) as entries:
            found = list(entries)
        for entry in found:
            path = f"{shown}/{_shown(entry.name)}"
            if entry.is_dir(follow_symlinks=False):
                if len(names) < DEPTH and entry.name != "__pycache__":
                    yield from _walk(descriptor, (*names, entry.name), path)
            elif status := _file(descriptor, entry.name):
                yield Artifact(path, status.st_size, int(status.st_mtime)), descriptor, entry.name
    finally:
        os.close(descriptor)


def _file(folder: int, name: str) -> os.stat_result | None:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:  # gone since it was listed
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _is_code(artifact: Artifact, folder: int, name: str, code: dict[str, tuple[int, str]]) -> bool:
    root, _, path = artifact.path.partition("/")
    if root != "work" or path not in code or code[path][0] != artifact.size:
        return False
    try:
        descriptor = os.open(name, FILE, dir_fd=folder)
    except OSError:
        return False
    with open(descriptor, "rb") as file:
        hasher = blake3()
        while piece := file.read(PIECE_BYTES):
            hasher.update(piece)
    return bool(hasher.hexdigest() == code[path][1])


def _open(run: Run, path: str) -> int:
    """A descriptor of a regular file, reached through folders alone."""
    *folders, name = path.split("/")
    try:
        current = _enter(run, folders)
        try:
            descriptor = os.open(_real(current, name), FILE, dir_fd=current)
        finally:
            os.close(current)
    except OSError:
        raise not_found(run, path) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise not_found(run, path)
    return descriptor


def _enter(run: Run, folders: Sequence[str]) -> int:
    """A descriptor of a folder below one of the roots, reached through folders alone.

    Raises:
        OSError: There is none.
    """
    if not folders or folders[0] not in ROOTS or len(folders) > DEPTH:
        raise FileNotFoundError("/".join(folders))
    with _folder_of(run) as folder:
        current = os.dup(folder)
    try:
        for part in folders:
            following = os.open(_real(current, part), FOLDER, dir_fd=current)
            os.close(current)
            current = following
    except OSError:
        os.close(current)
        raise
    return current


def _real(folder: int, shown: str) -> str:
    """The name in a folder that is shown so.

    Raises:
        FileNotFoundError: There is none.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if _shown(entry.name) == shown:
                return entry.name
    raise FileNotFoundError(shown)


def _shown(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def not_found(run: Run, path: str) -> Refused:
    """That a run has no such file."""
    return Refused(
        "ARTIFACT_NOT_FOUND",
        f"{run.name} has left no file {path[:200]!r}",
        hint="`bench runs artifacts` lists them.",
    )
