"""Writes a checkpoint beside its final name; nothing that is half-written ever has that."""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench_core import start_writeback, sync_file, sync_folder

from bench_track.checkpoint_folder import DOCUMENT, STATE, Checkpoint, CheckpointFile, folder_name, hash_file
from bench_track.errors import CheckpointError

_UNFINISHED = re.compile(r"\.step-.+\.(partial|removing)")
_WRITEBACK_BYTES = 32 << 20


class Partial:
    """A folder `.step-N.PID-HEX.partial`, held (flock) while it is written.

    Args:
        root: Where the checkpoints are; it is made if need be.
        step: The step.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, root: Path, step: int) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root, self._step = root, step
        self.folder = Path()
        self._descriptor = -1
        while self._descriptor < 0:
            self._make()

    def _make(self) -> None:
        self.folder = self._root / f".step-{self._step:09d}.{os.getpid()}-{os.urandom(4).hex()}.partial"
        self.folder.mkdir()
        with contextlib.suppress(FileNotFoundError):  # another process took it for one that nobody writes
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
            if _hold(descriptor) is not False and os.path.exists(self.folder):
                self._descriptor = descriptor
            else:
                os.close(descriptor)

    def write_state(self, state: Any) -> CheckpointFile:
        """Write a dict as torch.save does.

        Raises:
            OSError: No room, most likely.
        """
        import torch

        with open(self.folder / STATE, "xb", buffering=0) as file:
            writer: Any = _HashingWriter(file)
            try:
                torch.save(state, writer)
            except Exception as error:  # torch's own hides what the disk said
                raise writer.error or error from None
            sync_file(file.fileno())
        return CheckpointFile(path=STATE, size=writer.size, sha256=writer.digest.hexdigest())

    def copy(self, source: Path) -> None:
        """Copy a file, or all of a folder; the source may be written over right after.

        No hard links: what libraries save again into the same folder they write into the same files.

        Raises:
            CheckpointError: There is nothing to copy, it has a checkpoint.json, or all checkpoints are in it.
            OSError: It cannot be copied.
        """
        if not source.exists():
            raise CheckpointError(f"{source} is not there", hint="Save into it first.")
        if source.is_dir():
            if (source / DOCUMENT).exists():
                raise CheckpointError(
                    f"{source} has a {DOCUMENT}, which is what a checkpoint's own file is called",
                    hint="Give the folder that the training wrote, not a checkpoint of Bench.",
                )
            if self._root.resolve().is_relative_to(source.resolve()):
                raise CheckpointError(
                    f"{source} has the run's own checkpoints in it, which would copy themselves",
                    hint=f"Save into a folder in it or beside it, not around {self._root}.",
                )
            shutil.copytree(source, self.folder, dirs_exist_ok=True, copy_function=_copy_file)
        elif source.name == DOCUMENT:
            raise CheckpointError(f"a file called {DOCUMENT} cannot be a checkpoint", hint="Rename it.")
        else:
            _copy_file(str(source), str(self.folder / source.name))
        if not any(self._paths()):
            raise CheckpointError(f"{source} holds no file", hint="Save into it first.")

    def hash_copies(self) -> tuple[CheckpointFile, ...]:
        """What was copied, when it is on the disk.

        Raises:
            OSError: It cannot be written or read.
        """
        return tuple(self._hash(path) for path in sorted(self._paths()))

    def _hash(self, path: Path) -> CheckpointFile:
        with open(path, "rb") as file:
            sync_file(file.fileno())
        size, digest = hash_file(path)
        return CheckpointFile(path=path.relative_to(self.folder).as_posix(), size=size, sha256=digest)

    def _paths(self) -> Iterator[Path]:
        return (path for path in self.folder.rglob("*") if path.is_file())

    def commit(self, describe: Callable[[Path], Checkpoint]) -> Checkpoint:
        """Give it its name.

        Args:
            describe: The checkpoint that a folder is to be.

        Raises:
            OSError: It cannot be written.
        """
        with open(self.folder / DOCUMENT, "xb") as file:
            file.write(describe(self.folder).document())
            file.flush()
            sync_file(file.fileno())
        for folder, _, _ in os.walk(self.folder):
            sync_folder(folder)
        number = 1
        while True:
            final = self._root / folder_name(self._step, number)
            try:
                os.rename(self.folder, final)
                break
            except OSError:  # not empty: one of the same step
                if not final.exists():
                    raise
                number += 1
        sync_folder(self._root)
        self._release()
        return describe(final)

    def discard(self) -> None:
        """Remove it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._release()

    def _release(self) -> None:
        with contextlib.suppress(OSError):  # also for forked children, which have the descriptor too
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)


class _HashingWriter:
    """What torch.save writes to."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.size, self.digest = 0, hashlib.sha256()
        self.error: OSError | None = None
        self._behind = 0

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        self.digest.update(rest)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.error = error
            raise
        self.size += len(data)
        if self.size - self._behind >= _WRITEBACK_BYTES:
            start_writeback(self._file.fileno(), self._behind, self.size - self._behind)
            self._behind = self.size
        return len(data)

    def flush(self) -> None:
        pass


def remove(checkpoint: Checkpoint) -> None:
    """Remove a checkpoint; it is out of sight at once."""
    hidden = checkpoint.folder.with_name(f".{checkpoint.name}.{os.getpid()}-{os.urandom(4).hex()}.removing")
    with contextlib.suppress(FileNotFoundError):  # another process has
        os.rename(checkpoint.folder, hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def sweep(root: Path) -> None:
    """Remove what writers that are gone left unfinished."""
    with contextlib.suppress(FileNotFoundError):
        for name in filter(_UNFINISHED.fullmatch, os.listdir(root)):
            with contextlib.suppress(OSError):
                descriptor = os.open(root / name, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    if _hold(descriptor):
                        shutil.rmtree(root / name, ignore_errors=True)
                finally:
                    os.close(descriptor)


def _hold(descriptor: int) -> bool | None:
    """Whether it is held now by us; None where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _copy_file(source: str, target: str) -> str:
    """Copy content, on file systems that can without copying bytes (btrfs, XFS)."""
    with open(source, "rb") as reading, open(target, "xb") as writing:
        try:
            while os.copy_file_range(reading.fileno(), writing.fileno(), 1 << 30):
                pass
        except (OSError, AttributeError):
            shutil.copyfileobj(reading, writing, 1 << 20)
    return target
