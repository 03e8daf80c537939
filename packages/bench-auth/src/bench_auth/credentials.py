"""The tokens of this user, one per server, in a file that nobody else can read.

{"version": 1, "current": "http://localhost:8470",
"servers": {"http://localhost:8470": {"server_id": "...", "username": "ada", "token": "bench_u_...",
"certificate": null}}}
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench_core import atomic_write
from filelock import FileLock
from platformdirs import user_config_path

from bench_auth.errors import CredentialsError
from bench_auth.settings import CONFIG_VARIABLE

VERSION = 1


@dataclass(frozen=True)
class Credential:
    """A login at one server.

    Args:
        server_id: Of the server's data.
        username: The account's name.
        token: The secret.
        certificate: PEM: what was pinned of the server; None where there is no TLS or the system vouches.
    """

    server_id: str
    username: str
    token: str
    certificate: str | None


class CredentialStore:
    """The credential file.

    Args:
        path: Where it is; unless given, `bench/credentials.json` in the user's configuration folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or user_config_path("bench", appauthor=False) / "credentials.json"

    def current(self) -> str | None:
        """The endpoint of the last login that still stands, or that was preferred since; or None."""
        current: str | None = self._read()["current"]
        return current

    def get(self, endpoint: str) -> Credential | None:
        """The login at an endpoint, or None.

        Raises:
            CredentialsError: The file cannot be read.
        """
        found = self._read()["servers"].get(endpoint)
        try:
            return Credential(**found) if found else None
        except TypeError:
            raise self._damaged() from None

    def put(self, endpoint: str, credential: Credential) -> None:
        """Keep a login and make it the current one.

        Raises:
            CredentialsError: The file cannot be written.
        """
        with self._lock():
            fields = self._read()
            fields["servers"][endpoint] = asdict(credential)
            fields["current"] = endpoint
            self._write(fields)

    def prefer(self, endpoint: str | None) -> None:
        """Make an endpoint the current one, or none."""
        with self._lock():
            self._write({**self._read(), "current": endpoint})

    def remove(self, endpoint: str) -> None:
        """Forget a login. If it was the current one, the newest other becomes it."""
        with self._lock():
            fields = self._read()
            fields["servers"].pop(endpoint, None)
            if fields["current"] == endpoint:
                fields["current"] = next(reversed(fields["servers"]), None)
            self._write(fields)

    def _lock(self) -> FileLock:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            return FileLock(self.path.with_suffix(".lock"), mode=0o600)
        except OSError as error:
            raise self._unusable(error) from error

    def _read(self) -> dict[str, Any]:
        try:
            fields = json.loads(self.path.read_text())
        except FileNotFoundError:
            return {"version": VERSION, "current": None, "servers": {}}
        except OSError as error:
            raise self._unusable(error) from error
        except ValueError:
            raise self._damaged() from None
        if not isinstance(fields, dict) or not isinstance(fields.get("servers"), dict):
            raise self._damaged()
        if fields.get("version") != VERSION:
            raise CredentialsError(f"{self.path} is of another release", hint="Update bench-auth.")
        return fields

    def _write(self, fields: dict[str, Any]) -> None:
        try:
            atomic_write(self.path, (json.dumps(fields, indent=2) + "\n").encode(), mode=0o600)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> CredentialsError:
        return CredentialsError(
            f"{error.filename or self.path}: {os.strerror(error.errno or 0)}",
            hint=f"Name another folder with {CONFIG_VARIABLE}.",
        )

    def _damaged(self) -> CredentialsError:
        return CredentialsError(f"{self.path} is damaged", hint="Remove it and log in again.")
