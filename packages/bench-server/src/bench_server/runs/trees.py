"""Folders that a training had: how large they are, and how to remove them."""

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def remove_tree(path: Path) -> None:
    """Remove a folder whatever modes are in it; nothing happens if there is none."""

    def open_up(function: Callable[..., Any], failed: str, _: object) -> None:
        """A folder that its owner may not list or write: let it be so, and try again."""
        with contextlib.suppress(FileNotFoundError):
            inside = [os.path.dirname(failed)] if failed != str(path) else []
            for folder in [*inside, failed]:
                if _is_folder(folder):
                    os.chmod(folder, 0o700)
            if _is_folder(failed):
                shutil.rmtree(failed)
            else:
                os.unlink(failed)

    shutil.rmtree(path, onerror=open_up)


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def tree_size(path: Path) -> int:
    """What a folder takes on the disk: links are not followed, holes not counted."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return total
