"""Where each setting comes from: flag, environment, project file, user file, default, in this order."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from bench_core import (
    DATA_ROOT_VARIABLE,
    PROJECT_FILE,
    PROJECT_VARIABLE,
    ProjectSettings,
    data_root,
    find_project,
    read_project,
)

from bench_cli.errors import CliError


@dataclass(frozen=True)
class Setting:
    """A setting as it is settled.

    Args:
        name: Its name.
        value: Its value; None: nothing settles it.
        source: "flag", "environment", "project file", "user file" or "default".
        where: The flag, variable or file.
    """

    name: str
    value: str | None
    source: str
    where: str | None = None


@dataclass(frozen=True)
class Settled(Setting):
    """A setting that always has a value."""

    value: str


def endpoint(flag: str | None = None) -> Settled:
    """The server.

    Raises:
        AuthError: What settles it is no endpoint.
        ProjectFileError: This folder's project file is damaged.
    """
    from bench_auth import credentials_path, settle_endpoint
    from bench_auth.settings import ENDPOINT_VARIABLE

    found = settle_endpoint(flag)
    if found.source in ("user", "default"):
        file, settings = _project_file()
        if settings is not None and settings.endpoint:
            return Settled("endpoint", settle_endpoint(settings.endpoint).url, "project file", file)
    source, where = {
        "argument": ("flag", "--endpoint"),
        "environment": ("environment", ENDPOINT_VARIABLE),
        "user": ("user file", str(credentials_path())),
        "default": ("default", None),
    }[found.source]
    return Settled("endpoint", found.url, source, where)


def token() -> Setting:
    """Where the token comes from; its value is not shown."""
    from bench_auth import credentials_path
    from bench_auth.settings import TOKEN_VARIABLE

    if os.environ.get(TOKEN_VARIABLE):
        return Setting("token", "set", "environment", TOKEN_VARIABLE)
    from bench_auth.credentials import CredentialStore

    login = CredentialStore(credentials_path()).get(endpoint().value)
    return Setting("token", f"of {login.username}" if login else None, "user file", str(credentials_path()))


def project(flag: str | None = None) -> Setting:
    """The project, by name or id."""
    if flag:
        return Setting("project", flag, "flag", "--project")
    if from_environment := os.environ.get(PROJECT_VARIABLE):
        return Setting("project", from_environment, "environment", PROJECT_VARIABLE)
    file, settings = _project_file()
    if settings is not None:
        return Setting("project", settings.id, "project file", file)
    return Setting("project", None, "default")


def python() -> Settled:
    """The interpreter of the project's code.

    Unless the project file names it, that of the active environment comes before that of the PATH. This
    command's own comes last: it may live in an environment that knows nothing of the project.
    """
    file, settings = _project_file()
    if settings is not None and settings.python:
        return Settled("python", _program(settings.python, Path(file).parent), "project file", file)
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if folder := os.environ.get(variable):
            return Settled("python", str(Path(folder, "bin", "python")), "environment", variable)
    if found := which("python3") or which("python"):
        return Settled("python", found, "environment", "PATH")
    return Settled("python", sys.executable, "default")


def datasets() -> Settled:
    """The folder of chunked datasets."""
    value = str(data_root())
    if os.environ.get(DATA_ROOT_VARIABLE):
        return Settled("data_root", value, "environment", DATA_ROOT_VARIABLE)
    if folder := find_project():
        return Settled("data_root", value, "project file", str(folder / PROJECT_FILE))
    return Settled("data_root", value, "default")


def interpreter() -> str:
    """The interpreter of the project's code, which is there.

    Raises:
        CliError: It is not.
    """
    setting = python()
    if not os.access(setting.value, os.X_OK):
        raise CliError(
            f"the project's interpreter {setting.value} cannot be run", hint=f"{setting.where} names it."
        )
    return setting.value


def _project_file() -> tuple[str, ProjectSettings | None]:
    """The project file of this folder, and what it says."""
    folder = find_project()
    return ("", None) if folder is None else (str(folder / PROJECT_FILE), read_project(folder))


def _program(text: str, folder: Path) -> str:
    """A command of the PATH, or a path from the project's folder."""
    return str(folder / text) if "/" in text else which(text) or text
