"""Files that are whole or absent, and on the disk when they say so."""

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path


def sync_file(descriptor: int) -> None:
    """Return when the file's bytes are on the disk."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # fsync there stops at the drive's cache
    else:
        os.fsync(descriptor)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Return when the names in the folder (creations, renames, removals) are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write(
    path: str | os.PathLike[str], data: bytes, *, durable: bool = True, mode: int = 0o666
) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part.

    Args:
        path: The final name; its folder must exist.
        data: The whole content.
        durable: Return only when the content and the name are on the disk.
        mode: The file's permissions, less the umask; nobody ever sees it with others.

    Raises:
        OSError: The file could not be written; the old content is untouched.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                sync_file(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(target.parent)


def start_writeback(descriptor: int, offset: int, length: int) -> None:
    """Ask the system to begin writing this range to the disk, and do not wait for it.

    A later `sync_file` then finds most of the work done. Where the system has no such call
    (anything but Linux), this does nothing.
    """
    if _sync_file_range is not None:
        _sync_file_range(descriptor, offset, length, 2)  # 2: SYNC_FILE_RANGE_WRITE


def _find_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    if sys.platform != "linux":
        return None
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return function


_sync_file_range = _find_sync_file_range()
