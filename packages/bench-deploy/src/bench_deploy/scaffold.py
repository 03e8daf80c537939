"""A new project: registered on the server, with files that work as they are."""

import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template

import grpc
from bench_auth import AlreadyExistsError, call, open_channel
from bench_core import PROJECT_FILE, ProjectSettings, atomic_write, read_project
from bench_protos.projects.v1 import projects_pb2 as pb
from bench_protos.projects.v1.projects_pb2_grpc import ProjectServiceStub

from bench_deploy.errors import ScaffoldError

TEMPLATE = Path(__file__).with_name("template")

DOT = "dot-"
"""Begins the names of files that begin with a dot: tools would take those for their own where they lie."""


@dataclass(frozen=True, kw_only=True)
class StartedProject:
    """What `start_project` did.

    Args:
        folder: The project's folder, absolute.
        id: The project's id on the server.
        name: Its name there.
        written: The files written, as paths in the folder, in order.
        kept: The files that were there already and were left as they are.
    """

    folder: Path
    id: str
    name: str
    written: tuple[str, ...]
    kept: tuple[str, ...]


def start_project(
    name: str,
    folder: str | os.PathLike[str] | None = None,
    *,
    project_id: str | None = None,
    endpoint: str | None = None,
) -> StartedProject:
    """Register a project where this user is logged in, and write its first files.

    A folder that has a `bench.toml` is that project already: only missing files are written. Called again
    with the same name and folder it gives the same project.

    Args:
        name: The project's name on the server.
        folder: Where; made if absent. Unless given, a folder of that name in the current one.
        project_id: A project that is on the server already, instead of a new one.
        endpoint: The server; None: see `bench_auth.open_channel`.

    Raises:
        ScaffoldError: The folder cannot be written, or belongs to another project.
        AuthError: Nobody is logged in, or the server refuses: the name is taken, or will not do.
    """
    place = Path(folder if folder is not None else name).absolute()
    channel = open_channel(endpoint)
    present = _present(place, project_id)
    if present is None:
        project = _find(channel, project_id) if project_id else _register(channel, name, place)
    else:
        project = _find(channel, present)
    settings = ProjectSettings(id=project.id, name=project.name)
    written, kept = _write(place, settings)
    return StartedProject(
        folder=place, id=settings.id, name=settings.name, written=tuple(written), kept=tuple(kept)
    )


def _present(place: Path, wanted: str | None) -> str | None:
    """The id of the project that the folder is already; a folder that cannot be written is found out here."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        if not os.access(place, os.W_OK | os.X_OK):
            raise ScaffoldError(f"{place} cannot be written", hint="Name another folder.")
    except OSError as error:
        raise ScaffoldError(f"{place}: {error.strerror}", hint="Name another folder.") from error
    if not (place / PROJECT_FILE).exists():
        return None
    present = read_project(place).id
    if wanted is not None and wanted.lower() != present:
        raise ScaffoldError(
            f"{place} is project {present}, and not {wanted}",
            hint=f"Name another folder, or remove its {PROJECT_FILE}.",
        )
    return present


def _find(channel: grpc.Channel, project_id: str) -> pb.Project:
    return call(ProjectServiceStub(channel).GetProject, pb.GetProjectRequest(project_id=project_id)).project


def _register(channel: grpc.Channel, name: str, place: Path) -> pb.Project:
    # The same folder and name are the same request: if this breaks off after it, the next attempt goes on.
    request_id = uuid.uuid5(uuid.NAMESPACE_URL, f"{uuid.getnode()}:{place}:{name}")
    request = pb.CreateProjectRequest(request_id=str(request_id), name=name)
    try:
        return call(ProjectServiceStub(channel).CreateProject, request).project
    except AlreadyExistsError as error:
        taken = error.metadata.get("project_id")
        error.hint = f"Take another name, or make this folder that project with --id {taken}."
        raise


def _write(place: Path, settings: ProjectSettings) -> tuple[list[str], list[str]]:
    # JSON's string is TOML's: what JSON escapes, TOML escapes alike.
    values = {"id": settings.id, "name": settings.name, "quoted_name": json.dumps(settings.name)}
    written: list[str] = []
    kept: list[str] = []
    for path, template in _templates(TEMPLATE):
        target = place / path
        if os.path.lexists(target):
            kept.append(path)
            continue
        text = template.read_text("utf-8")
        if path in (PROJECT_FILE, "README.md"):
            text = Template(text).substitute(values)
        try:
            target.parent.mkdir(exist_ok=True)
            atomic_write(target, text.encode())
        except OSError as error:
            raise ScaffoldError(
                f"{target}: {error.strerror}", hint="Mend that and call it again: it goes on."
            ) from error
        written.append(path)
    return written, kept


def _templates(folder: Path, parents: str = "") -> Iterator[tuple[str, Path]]:
    """The template's files with their paths in a project; `bench.toml` first: it says which project it is."""
    entries = sorted(folder.iterdir(), key=lambda entry: (entry.name != PROJECT_FILE, entry.name))
    for entry in entries:
        name = f".{entry.name.removeprefix(DOT)}" if entry.name.startswith(DOT) else entry.name
        if entry.is_dir() and name != "__pycache__":
            yield from _templates(entry, f"{parents}{name}/")
        elif entry.is_file():
            yield f"{parents}{name}", entry
