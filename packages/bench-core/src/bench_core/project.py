"""`bench.toml`: what a project is, in a file that is safe to commit."""

import difflib
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from bench_core.errors import ProjectFileError
from bench_core.image_settings import ImageSettings
from bench_core.paths import PROJECT_FILE, find_project
from bench_core.run_settings import RunSettings
from bench_core.values import check_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT_KEYS = ("id", "name", "endpoint", "python")
EXAMPLE = "0192f0c1-7a3b-7c55-9d2e-0f6b1c2d3e4f"

Section = TypeVar("Section", RunSettings, ImageSettings)


@dataclass(frozen=True, kw_only=True)
class ProjectSettings:
    """What `bench.toml` says: the section `[project]`, and the others by their names.

    Args:
        id: The project's id on its server, a UUID.
        name: Its name, for people.
        endpoint: The server, such as `https://bench.example.org:8470`; None: the one logged in to.
        python: The interpreter of the project's code: a command, or a path from the project's folder; None:
            that of the active environment.
        run: The section `[run]`.
        image: The section `[image]`.

    Raises:
        ProjectFileError: A value cannot be.
    """

    id: str
    name: str
    endpoint: str | None = None
    python: str | None = None
    run: RunSettings = field(default_factory=RunSettings)
    image: ImageSettings = field(default_factory=ImageSettings)

    def __post_init__(self) -> None:
        for name in PROJECT_KEYS:
            if name in ("id", "name") or getattr(self, name) is not None:
                check_text(name, getattr(self, name))
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
        _check_names("section", content, ["project", "run", "image"])
        table = content.get("project")
        if not isinstance(table, dict):
            raise ProjectFileError("there is no section [project]")
        _check_names("key", table, PROJECT_KEYS, " in [project]")
        if missing := [name for name in ("id", "name") if name not in table]:
            raise ProjectFileError(
                f"[project] has no {missing[0]}",
                hint="`bench startproject` registers the project and writes it.",
            )
        run, image = _section(content, "run", RunSettings), _section(content, "image", ImageSettings)
        return ProjectSettings(**table, run=run, image=image)
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


def _section(content: dict[str, Any], name: str, kind: type[Section]) -> Section:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise ProjectFileError(f"{name} is {table!r}, and must be a section [{name}]")
    _check_names("key", table, [item.name for item in fields(kind)], f" in [{name}]")
    try:
        return kind(**table)
    except ProjectFileError as error:
        raise ProjectFileError(f"[{name}] {error.message}", hint=error.hint) from None


def _check_names(what: str, given: Iterable[str], known: Sequence[str], where: str = "") -> None:
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"Is it meant to be {close[0]!r}?" if close else f"Known are: {', '.join(known)}."
            raise ProjectFileError(f"unknown {what} {name!r}{where}", hint=hint)
