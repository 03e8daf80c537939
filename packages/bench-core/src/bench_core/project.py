"""`bench.toml`: what a project is, in a file that is safe to commit."""

import difflib
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from uuid import UUID

from bench_core.errors import ProjectFileError
from bench_core.paths import PROJECT_FILE, find_project

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXAMPLE = "0192f0c1-7a3b-7c55-9d2e-0f6b1c2d3e4f"


@dataclass(frozen=True, kw_only=True)
class ProjectSettings:
    """The section `[project]` of `bench.toml`.

    Args:
        id: The project's id on its server, a UUID.
        name: Its name, for people.
        endpoint: The server, such as `https://bench.example.org:8470`; None: the one logged in to.
        python: The interpreter of the project's code: a command, or a path from the project's folder; None:
            that of the active environment.

    Raises:
        ProjectFileError: A value cannot be.
    """

    id: str
    name: str
    endpoint: str | None = None
    python: str | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            is_optional = field.default is None
            if value is None and is_optional:
                continue
            if not isinstance(value, str) or not value.strip():
                raise ProjectFileError(f"{field.name} is {value!r}, and must be a text that is not empty")
        try:
            object.__setattr__(self, "id", str(UUID(self.id)))
        except ValueError:
            raise ProjectFileError(f"id is {self.id!r}, and must be a UUID such as {EXAMPLE}") from None


def read_project(folder: str | os.PathLike[str]) -> ProjectSettings:
    """Read the `bench.toml` of a project.

    Args:
        folder: The project's folder; `find_project` finds it.

    Raises:
        ProjectFileError: There is none, it is damaged, or it says what it cannot.
    """
    path = Path(folder) / PROJECT_FILE
    content = _parse(path)
    try:
        _check_names("section", content, ["project"])
        table = content.get("project")
        if not isinstance(table, dict):
            raise ProjectFileError("there is no section [project]")
        names = [field.name for field in fields(ProjectSettings)]
        _check_names("key", table, names, " in [project]")
        if missing := [name for name in ("id", "name") if name not in table]:
            raise ProjectFileError(
                f"[project] has no {missing[0]}",
                hint="`bench startproject` registers the project and writes it.",
            )
        return ProjectSettings(**table)
    except ProjectFileError as error:
        raise ProjectFileError(f"{path}: {error.message}", hint=error.hint) from None


def find_project_settings(start: str | os.PathLike[str] | None = None) -> tuple[Path, ProjectSettings]:
    """The folder and the settings of the nearest project at or above `start`.

    Args:
        start: Where to begin; the current folder unless given.

    Raises:
        ProjectFileError: There is none, or its file says what it cannot.
    """
    folder = find_project(start)
    if folder is None:
        here = Path(start or Path.cwd()).resolve()
        raise ProjectFileError(
            f"{here} is in no project: there is no {PROJECT_FILE} here or above",
            hint="Go to a project's folder, or make one: `bench startproject NAME`.",
        )
    return folder, read_project(folder)


def _parse(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
        parsed: dict[str, Any] = tomllib.loads(data.decode("utf-8-sig"))  # some editors begin with a mark
        return parsed
    except OSError as error:
        raise ProjectFileError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ProjectFileError(f"{path}, line {line}: it is not UTF-8", hint="Save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise ProjectFileError(
            f"{path} is damaged: {error}", hint="Mend that place: https://toml.io."
        ) from None


def _check_names(what: str, given: Iterable[str], known: list[str], where: str = "") -> None:
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"Is it meant to be {close[0]!r}?" if close else f"Known are: {', '.join(known)}."
            raise ProjectFileError(f"unknown {what} {name!r}{where}", hint=hint)
