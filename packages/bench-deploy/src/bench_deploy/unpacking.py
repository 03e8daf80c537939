"""Puts code where it is run. It may have been a training's before: nothing in it is trusted or followed."""

import os
import shutil
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex

from bench_deploy.bundle import FileKind

FOLDER_MODE = 0o755
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def unpack(bundle: Path, folder: Path, user: tuple[int, int]) -> None:
    """Write a bundle's files into a folder; others that are there stay.

    Args:
        bundle: One that was checked.
        folder: Where to; it is there.
        user: Who owns what is written; only root can give it to another.
    """
    owner = user if os.getuid() == 0 else None
    root = os.open(folder, OPEN_FOLDER)
    try:
        with zipfile.ZipFile(bundle) as archive:
            for entry in archive.infolist():
                *parents, name = entry.filename.split("/")
                place = _enter(root, parents, owner)
                try:
                    _write(archive, entry, place, name, owner)
                finally:
                    os.close(place)
    finally:
        os.close(root)


def _enter(root: int, parents: Sequence[str], owner: tuple[int, int] | None) -> int:
    """The descriptor of a folder below another; what stands in its way is removed."""
    here = os.dup(root)
    for name in parents:
        below = _folder(here, name, owner)
        os.close(here)
        here = below
    return here


def _folder(parent: int, name: str, owner: tuple[int, int] | None) -> int:
    try:
        return os.open(name, OPEN_FOLDER, dir_fd=parent)
    except FileNotFoundError:
        pass
    except OSError:  # a link or a file
        os.unlink(name, dir_fd=parent)
    os.mkdir(name, FOLDER_MODE, dir_fd=parent)
    _own(name, parent, owner)
    descriptor = os.open(name, OPEN_FOLDER, dir_fd=parent)
    os.fchmod(descriptor, FOLDER_MODE)  # whatever the umask is
    return descriptor


def _write(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, place: int, name: str, owner: tuple[int, int] | None
) -> None:
    _clear(place, name)
    mode = entry.external_attr >> 16
    if mode == FileKind.LINK.value:
        os.symlink(archive.read(entry), os.fsencode(name), dir_fd=place)
    else:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=place)
        with open(descriptor, "wb") as file, archive.open(entry) as source:
            shutil.copyfileobj(source, file, 1 << 20)
            os.fchmod(descriptor, stat.S_IMODE(mode))
    _own(name, place, owner)


def _clear(place: int, name: str) -> None:
    """Make room for a file; a folder in its place is the training's, and stays under another name."""
    try:
        os.unlink(name, dir_fd=place)
    except FileNotFoundError:
        pass
    except (IsADirectoryError, PermissionError):  # what macOS says of folders
        os.rename(name, f"{name}.{token_hex(4)}", src_dir_fd=place, dst_dir_fd=place)


def _own(name: str, place: int, owner: tuple[int, int] | None) -> None:
    if owner is not None:
        os.chown(name, *owner, dir_fd=place, follow_symlinks=False)
