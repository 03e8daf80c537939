"""What only the attempt may read: its token, and the secrets of its training (docs/runs.md)."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from bench_agent.errors import AttemptFileError

TOKEN = "token"
SECRETS = "secrets.json"
FILES = "files"


@dataclass(frozen=True, kw_only=True)
class Private:
    """What lies in the private folder.

    Args:
        token: Of the attempt; empty where there is none.
        environment: The variables of the secrets: values, and paths of files with values.
        values: What must not appear in the log.
    """

    token: str = field(repr=False)
    environment: dict[str, str] = field(repr=False)
    values: list[bytes] = field(repr=False)


def read_private(folder: Path) -> Private:
    """Read the private folder; what is not there is empty.

    Raises:
        AttemptFileError: Something in it cannot be read.
    """
    try:
        token = _read(folder / TOKEN).decode().strip()
        document = json.loads(_read(folder / SECRETS) or b"{}")
        texts: dict[str, str] = dict(document.get("environment", {}))
        paths = {name: folder / FILES / name for name in document.get("files", [])}
        contents = [path.read_bytes() for path in paths.values()]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise AttemptFileError(f"what is in {folder} cannot be read: {error}") from None
    values = [token.encode(), *(text.encode() for text in texts.values()), *contents]
    return Private(
        token=token,
        environment={**texts, **{name: str(path) for name, path in paths.items()}},
        values=values,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
