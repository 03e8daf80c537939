"""The folder that holds all that a server knows.

server.json     id of this server, version of this layout; written first, once
secret.key      Django's secret; 0600
bench.sqlite3   the database, unless BENCH_DATABASE_URL names another
server.lock     held by the running server
server.log      what it says when it runs in the background; server.log.1: before that
running.json    the running server: its process, addresses and command
rpc.sock        where the rpc process listens for this machine's own
tls/            the server's own certificate (certificates.py)
backups/        of the database, made before each migration
blobs/          the bytes of datasets, by digest; uploads/: those that are on their way
seals/          what blobs are known by whose files a user has too; incoming/: where such a user puts them
check-*/        a dataset that is being checked; links only
runs/, logs/, tracks/, caches/, images/, secrets.key     of runs (docs/runs.md)
"""

import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from bench_core import atomic_write
from platformdirs import user_data_path
from uuid6 import uuid7

from bench_server.errors import FolderError

LAYOUT = 1
"""Of the folder. A release refuses a folder with a higher one."""

CHECK_PREFIX = "check-"
"""Folders of checks; those of a server that was killed are removed by the next."""

SOCKET_PATH_BYTES = 107
"""Linux allows a Unix socket no longer path; macOS 103."""


@dataclass(frozen=True)
class DataFolder:
    """A server's folder.

    Args:
        path: Where it is, absolute.
        server_id: A UUID made with the folder.
    """

    path: Path
    server_id: str

    @property
    def database(self) -> Path:
        """The SQLite database."""
        return self.path / "bench.sqlite3"

    @property
    def socket(self) -> Path:
        """Where the rpc process listens for this machine's own processes."""
        return self.path / "rpc.sock"

    @property
    def runs(self) -> Path:
        """The files of each run, and the folder of the socket that attempts reach."""
        return self.path / "runs"

    @property
    def attempts_socket(self) -> Path:
        """Where the rpc process listens for attempts of runs, and serves nothing else."""
        return self.runs / "socket" / "attempts.sock"

    @property
    def logs(self) -> Path:
        """What each attempt of a run has written."""
        return self.path / "logs"

    @property
    def tracks(self) -> Path:
        """Media of what trainings say of themselves."""
        return self.path / "tracks"

    @property
    def caches(self) -> Path:
        """What the runs of each project have fetched or compiled."""
        return self.path / "caches"

    @property
    def images(self) -> Path:
        """What images are made with."""
        return self.path / "images"

    @property
    def secrets_key(self) -> Path:
        """Encrypts the secrets of runs."""
        return self.path / "secrets.key"

    @property
    def lock(self) -> Path:
        """Held by the running server."""
        return self.path / "server.lock"

    @property
    def log(self) -> Path:
        """What a server in the background says."""
        return self.path / "server.log"

    @property
    def running(self) -> Path:
        """What is known of the running server."""
        return self.path / "running.json"

    @property
    def backups(self) -> Path:
        """Copies of the database."""
        return self.path / "backups"

    @property
    def secret(self) -> str:
        """Django's secret."""
        return (self.path / "secret.key").read_text()


def sweep(folder: DataFolder) -> None:
    """Remove what a killed server left; only for who holds the server's lock."""
    for left in [*folder.path.glob(f"{CHECK_PREFIX}*"), folder.path / "incoming"]:
        shutil.rmtree(left, ignore_errors=True)


def default_path() -> Path:
    """Where the folder is unless `--data` says otherwise."""
    return user_data_path("bench-server", appauthor=False)


def open_folder(path: str | os.PathLike[str], *, create: bool = False) -> DataFolder:
    """Open a server's folder.

    Args:
        path: Where it is.
        create: Make it if it is absent or empty.

    Raises:
        FolderError: It is not one, cannot be written, or a newer release made it.
    """
    folder = Path(path).absolute()
    try:
        if create:
            _create(folder)
        return DataFolder(folder, _server_id(folder))
    except OSError as error:
        raise FolderError(
            f"{error.filename or folder}: {error.strerror}", hint="Name another folder with --data."
        ) from error


def _create(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (folder / "server.json").exists():
        return
    if foreign := sorted(
        entry.name for entry in folder.iterdir() if not entry.name.startswith(("secret.", "."))
    ):
        raise FolderError(
            f"{folder} holds other things ({foreign[0]}, ...) and is no server's data folder",
            hint="Name an empty folder, or one that is not there yet, with --data.",
        )
    longest = len(os.fsencode(DataFolder(folder, "").attempts_socket))
    if longest > SOCKET_PATH_BYTES:
        raise FolderError(
            f"{folder} is too long a path: its socket's would have {longest} of {SOCKET_PATH_BYTES} bytes",
            hint="Name a folder with a shorter path with --data.",
        )
    folder.chmod(0o700)
    _write_secret(folder / "secret.key", secrets.token_urlsafe(64))
    fields = {"layout": LAYOUT, "server_id": str(uuid7())}
    atomic_write(folder / "server.json", (json.dumps(fields, indent=2) + "\n").encode())


def _write_secret(path: Path, secret: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secret)


def _server_id(folder: Path) -> str:
    try:
        fields = json.loads((folder / "server.json").read_text())
        layout, server_id = int(fields["layout"]), str(fields["server_id"])
    except FileNotFoundError:
        raise FolderError(
            f"{folder} is not a server's data folder",
            hint="`bench-server start` makes one; or name it with --data.",
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise FolderError(f"{folder / 'server.json'} is damaged: {error}") from error
    if layout > LAYOUT:
        raise FolderError(
            f"{folder} was made by a newer release (layout {layout}; this one knows {LAYOUT})",
            hint="Update bench-server.",
        )
    return server_id
