"""Folders that a training had: how large they are, and how to remove them, however deep it made them."""

import contextlib
import os
from itertools import count
from pathlib import Path

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: Path) -> None:
    """Remove a folder whatever modes are in it; nothing happens if there is none.

    Folders in folders are moved up before they are emptied, so that no depth is too much.
    """
    try:
        if not path.is_symlink():
            path.chmod(0o700)
        root = os.open(path, FOLDER)
    except FileNotFoundError:
        return
    try:
        numbers = count()
        while folders := _unlink_files(root):
            for name in folders:
                _move_up(root, name, numbers)
    finally:
        os.close(root)
    path.rmdir()


def _unlink_files(folder: int) -> list[str]:
    """Remove all but the folders in a folder; their names."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
    return [name for name, is_folder in found if is_folder]


def _move_up(root: int, name: str, numbers: "count[int]") -> None:
    """Remove a folder; those in it come beside it."""
    os.chmod(name, 0o700, dir_fd=root)
    folder = os.open(name, FOLDER, dir_fd=root)
    try:
        for inner in _unlink_files(folder):
            os.chmod(inner, 0o700, dir_fd=folder)
            os.rename(inner, f".bench-{os.getpid()}-{next(numbers)}", src_dir_fd=folder, dst_dir_fd=root)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=root)


def tree_size(path: Path) -> int:
    """What a folder takes on the disk, without holes and files that have another name too (blobs)."""
    total, folders = 0, [str(path)]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    status = entry.stat(follow_symlinks=False)
                    total += status.st_blocks * 512 if status.st_nlink == 1 else 0
    return total
