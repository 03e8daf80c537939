"""Secrets of projects and users: kept encrypted, given to runs, never shown again.

The key is a file beside the database, `secrets.key`: a copy of the database alone opens none.
"""

import os
import secrets as random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db.models import Q

from bench_server.accounts.models import User
from bench_server.errors import Refused, ServerError, invalid
from bench_server.projects.models import Project
from bench_server.runs.models import Run, Secret
from bench_server.runs.spec import check_variable

MAX_VALUE_BYTES = 64 << 10

MAX_SECRETS = 1000
"""Of a project, and of a user."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """The secrets of a run. What prints it sees no value.

    Args:
        environment: Values of variables.
        files: Contents of the files whose paths variables have.
    """

    environment: dict[str, str] = field(repr=False)
    files: dict[str, bytes] = field(repr=False)


def set_secret(owner: Project | User, name: str, form: Secret.Form, value: bytes) -> Secret:
    """Make a secret of a project or a user, or give it another value.

    Raises:
        Refused: FIELD_INVALID.
    """
    check_variable("name", name)
    _check_value(form, value)
    mine = _of(owner)
    others = Secret.objects.filter(**mine).exclude(name=name)
    if others.count() >= MAX_SECRETS:
        raise invalid("name", f"there are {MAX_SECRETS:,} secrets already")
    values = {"form": form, "encrypted": _cipher().encrypt(value)}
    return Secret.objects.update_or_create(defaults=values, name=name, **mine)[0]


def secrets_of(project: Project, user: User) -> list[Secret]:
    """A project's secrets and a user's own, by name; without their values."""
    rows = Secret.objects.filter(Q(project=project) | Q(user=user)).defer("encrypted")
    return sorted(rows, key=sort_key)


def sort_key(secret: Secret) -> str:
    """By name, the project's before the user's."""
    return f"{secret.name} {'project' if secret.project_id else 'user'}"


def delete_secret(owner: Project | User, name: str) -> None:
    """Delete a secret of a project or a user.

    Raises:
        Refused: SECRET_NOT_FOUND.
    """
    if "\0" in name or not Secret.objects.filter(**_of(owner), name=name).delete()[0]:
        raise Refused(
            "SECRET_NOT_FOUND", f"there is no secret {name[:100]!r}", hint="`bench secret list` lists them."
        )


def secrets_for(run: Run) -> Given:
    """What a run is given: its project's secrets, and before them those of who made it.

    Raises:
        ServerError: The key is gone or another one.
    """
    rows = Secret.objects.filter(Q(project=run.project_id) | Q(user__isnull=False, user=run.creator_id))
    environment: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for secret in sorted(rows, key=sort_key):
        environment.pop(secret.name, None)
        files.pop(secret.name, None)
        value = _decrypted(secret)
        if secret.form == Secret.Form.FILE:
            files[secret.name] = value
        else:
            environment[secret.name] = value.decode()
    return Given(environment=environment, files=files)


def _of(owner: Project | User) -> dict[str, Any]:
    return {"project" if isinstance(owner, Project) else "user": owner}


def _check_value(form: Secret.Form, value: bytes) -> None:
    if not 0 < len(value) <= MAX_VALUE_BYTES:
        raise invalid("value", f"has {len(value):,} bytes; 1 to {MAX_VALUE_BYTES:,} are taken")
    if form == Secret.Form.ENVIRONMENT:
        try:
            is_text = "\0" not in value.decode()
        except UnicodeDecodeError:
            is_text = False
        if not is_text:
            raise invalid("value", "is no text", hint="Give it as a file.")


def _decrypted(secret: Secret) -> bytes:
    try:
        return _cipher().decrypt(bytes(secret.encrypted))
    except InvalidToken:
        raise ServerError(
            f"the secret {secret.name} was encrypted with another key than secrets.key has",
            hint="Bring that file back from a backup, or set the secret again.",
        ) from None


def _cipher() -> Fernet:
    path: Path = settings.FOLDER.secrets_key
    try:
        return Fernet(path.read_bytes())
    except FileNotFoundError:
        _make_key(path)
        return Fernet(path.read_bytes())


def _make_key(path: Path) -> None:
    """Make the file whole or not at all; of two processes at once the first one's stays."""
    temporary = path.with_name(f".{path.name}.{random.token_hex(4)}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(Fernet.generate_key())
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
