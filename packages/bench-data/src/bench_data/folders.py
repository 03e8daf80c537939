"""Where a dataset lies, and who may write there."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_core import data_root
from filelock import FileLock, Timeout

from bench_data.errors import DatasetLockedError, OptionsError, write_failed
from bench_data.manifest import CHUNKS, MANIFEST, NAME_DIGITS
from bench_data.streamed import streamed_name

WRITING = ".writing"
OUTGOING = "outgoing"
LOCK = ".lock"

LOCK_SECONDS = 2.0
"""The workers of a writer that was killed hold its lock until they notice, which takes them a second."""


def dataset_folder(name: str, root: str | os.PathLike[str] | None = None) -> Path:
    """The folder of a dataset; it need not exist.

    Args:
        name: The dataset's name: one folder name.
        root: The folder that holds datasets, if not the usual one (`bench_core.data_root`).

    Raises:
        OptionsError: The name cannot be a folder's.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or any(c in "/\\" or c < " " for c in name):
        raise OptionsError(f"{name!r} cannot be a dataset's name", hint="Take one folder name, like 'train'.")
    return data_root(root) / name


@contextmanager
def write_lock(folder: Path) -> Iterator[None]:
    """Be the only writer of a dataset, creating its folder.

    Raises:
        DatasetLockedError: Somebody else is writing it.
        WriteError: The folder cannot be created or written.
    """
    try:
        (folder / CHUNKS).mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=LOCK_SECONDS)
        lock.acquire()
    except Timeout:
        raise DatasetLockedError(
            f"another process is writing {folder}", hint="Wait until it has finished, or stop it."
        ) from None
    except OSError as error:
        raise write_failed(error) from error
    try:
        yield
    finally:
        lock.release()


def work_folder(folder: Path, plan: str) -> Path:
    """The folder of an unfinished write, created if need be; those of other plans are removed."""
    work = folder / WRITING / plan
    try:
        work.mkdir(parents=True, exist_ok=True)
        for other in work.parent.iterdir():
            if other != work:
                shutil.rmtree(other)
        for left in work.glob("*.tmp"):
            left.unlink(missing_ok=True)
    except OSError as error:
        raise write_failed(error) from error
    return work


def sweep(folder: Path, named: set[str]) -> None:
    """Remove what a committed dataset does not need: only files with names of ours, in its folder.

    Args:
        folder: The dataset's folder.
        named: What stays, as paths in the folder.
    """
    shutil.rmtree(folder / WRITING, ignore_errors=True)
    ours = [
        *folder.glob(f"segment-{'?' * NAME_DIGITS}.npz"),
        *folder.glob(f"{CHUNKS}/{'?' * NAME_DIGITS}.zip"),
    ]
    ours += folder.glob(streamed_name("?" * NAME_DIGITS))
    ours += folder.glob(f".{MANIFEST}.*.tmp")
    for path in ours:
        if path.relative_to(folder).as_posix() not in named:
            path.unlink(missing_ok=True)
