"""A file of a run that is being fetched. Its path comes from the training, and may try to lead anywhere."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from blake3 import blake3

from bench_deploy.errors import ArtifactError

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class ArtifactFile:
    """A part of a file that becomes the file when all of it is there.

    Folders are opened one in the other, and no link is followed: nothing outside of the folder is written.

    Args:
        folder: Where it is to be, made if need be.
        path: From there, with `/`.
        size: Its bytes.
        time_ns: Since the epoch, of its last change.

    Raises:
        ArtifactError: The path leads out of the folder, or cannot be written.
    """

    def __init__(self, folder: Path, path: str, size: int, time_ns: int) -> None:
        self._path, self._size, self._time_ns = path, size, time_ns
        *above, self._name = checked_parts(path)
        self._place, self._file = -1, -1
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for part in above:
                inner = _enter(self._place, part)
                os.close(self._place)
                self._place = inner
        except OSError as error:
            self._close()
            raise self._failed(error) from error
        state = blake3(f"{path}\0{size}\0{time_ns}".encode()).hexdigest(12)
        self._part = f".bench-{state}.part"  # of another state of the file: another one
        self.offset = 0

    def __enter__(self) -> "ArtifactFile":
        if not self.is_there:
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
                self._file = os.open(self._part, flags, 0o666, dir_fd=self._place)
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # two would mix their bytes
                self.offset = os.fstat(self._file).st_size
            except OSError as error:
                self._close()
                raise self._failed(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def is_there(self) -> bool:
        """Whether the file is there as it should be, from an earlier call."""
        try:
            found = os.stat(self._name, dir_fd=self._place, follow_symlinks=False)
        except OSError:
            return False
        return (found.st_size, found.st_mtime_ns) == (self._size, self._time_ns)

    def write(self, data: bytes) -> None:
        """Add what follows.

        Raises:
            ArtifactError: It cannot be written.
        """
        view = memoryview(data)
        try:
            while view:
                count = os.write(self._file, view)
                self.offset, view = self.offset + count, view[count:]
        except OSError as error:
            raise self._failed(error) from error

    def finish(self) -> None:
        """Let the file appear.

        Raises:
            ArtifactError: Something else of its name is in the way.
        """
        try:
            os.utime(self._file, ns=(self._time_ns, self._time_ns))
            os.replace(self._part, self._name, src_dir_fd=self._place, dst_dir_fd=self._place)
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> ArtifactError:
        return ArtifactError(
            f"{self._path!r} cannot be kept here: {error.strerror}",
            hint="Is there room, and is no other file or link in its way? Fetch it into an empty folder.",
        )

    def _close(self) -> None:
        for opened in (self._file, self._place):
            if opened >= 0:
                os.close(opened)
        self._file = self._place = -1


def checked_parts(path: str) -> list[str]:
    """The names of a path that stays inside.

    Raises:
        ArtifactError: It does not.
    """
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise ArtifactError(f"the run names a file {path[:200]!r}, which is no path inside of a folder")
    return parts


def _enter(place: int, name: str) -> int:
    """Open a folder in another, made if need be."""
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=place)
    return os.open(name, FOLDER, dir_fd=place)
