"""What commands ask a server: its answers as documents, and the project that a command is about."""

import os
from collections.abc import Callable, Iterator
from datetime import timezone
from functools import cache
from typing import Any
from uuid import UUID

from bench_auth import NotFoundError, call, open_channel
from bench_auth.settings import ENDPOINT_VARIABLE
from bench_protos.data.v1 import datasets_pb2 as data_pb
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub
from bench_protos.projects.v1 import projects_pb2 as pb
from bench_protos.projects.v1.projects_pb2_grpc import ProjectServiceStub
from bench_protos.runs.v1 import secrets_pb2
from bench_protos.runs.v1.secrets_pb2_grpc import SecretServiceStub

from bench_cli import sources
from bench_cli.errors import CliError

PAGE_SIZE = 1000
ROLES = {"member": pb.ROLE_MEMBER, "owner": pb.ROLE_OWNER}


@cache
def endpoint() -> str:
    """The server of this command, and of every process that it starts."""
    url = sources.endpoint().value
    os.environ[ENDPOINT_VARIABLE] = url
    return url


def projects() -> ProjectServiceStub:
    """The server's projects."""
    return ProjectServiceStub(open_channel(endpoint()))


def datasets() -> DatasetServiceStub:
    """The server's datasets."""
    return DatasetServiceStub(open_channel(endpoint()))


def secrets() -> SecretServiceStub:
    """The server's secrets."""
    return SecretServiceStub(open_channel(endpoint()))


def secret_scope(*, user: bool) -> secrets_pb2.SecretScope.ValueType:
    """Whose a secret is: the user's, or the project's."""
    return secrets_pb2.SECRET_SCOPE_USER if user else secrets_pb2.SECRET_SCOPE_PROJECT


def pages(method: Any, request: Any, field: str) -> Iterator[Any]:
    """All things of a paged list."""
    request.page_size = PAGE_SIZE
    while True:
        answer = call(method, request)
        yield from getattr(answer, field)
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token


def list_projects() -> list[pb.Project]:
    """The projects of this user, newest first."""
    return list(pages(projects().ListProjects, pb.ListProjectsRequest(), "projects"))


def find_project(flag: str | None) -> pb.Project:
    """The project that a command is about.

    Args:
        flag: Its name or id; None: that of the environment or of this folder.

    Raises:
        CliError: None is known, or several have the name.
        AuthError: The server knows none, or cannot be asked.
    """
    setting = sources.project(flag)
    if setting.value is None:
        raise CliError(
            "no project is named", hint="Name one with --project; `bench project list` shows them."
        )
    if _is_id(setting.value):
        request = pb.GetProjectRequest(project_id=setting.value)
        return call(projects().GetProject, request).project
    found = [project for project in list_projects() if project.name == setting.value]
    if not found:
        raise CliError(
            f"there is no project {setting.value!r} at {endpoint()}", hint="`bench project list` shows yours."
        )
    if len(found) > 1:
        ids = ", ".join(project.id for project in found)
        raise CliError(f"several projects are called {setting.value!r}", hint=f"Take an id: {ids}")
    return found[0]


def list_members(project: pb.Project) -> list[pb.Member]:
    """The members of a project, by name."""
    request = pb.ListMembersRequest(project_id=project.id)
    return list(pages(projects().ListMembers, request, "members"))


def list_datasets(project: pb.Project) -> list[data_pb.Dataset]:
    """The datasets of a project, by name."""
    request = data_pb.ListDatasetsRequest(project_id=project.id)
    return list(pages(datasets().ListDatasets, request, "datasets"))


def list_versions(project: pb.Project, dataset: str) -> list[data_pb.Version]:
    """The versions of a dataset, newest first."""
    request = data_pb.ListVersionsRequest(project_id=project.id, dataset=dataset)
    return list(pages(datasets().ListVersions, request, "versions"))


def get_version(project: pb.Project, dataset: str, number: int) -> data_pb.Version:
    """A version of a dataset; number 0: the latest."""
    request = data_pb.GetVersionRequest(project_id=project.id, dataset=dataset, version_number=number)
    return call(datasets().GetVersion, request).version


def delete_version(project: pb.Project, dataset: str, number: int) -> None:
    """Delete a version; one that is gone already is fine."""
    request = data_pb.DeleteVersionRequest(project_id=project.id, dataset=dataset, version_number=number)
    try:
        call(datasets().DeleteVersion, request)
    except NotFoundError as error:
        if error.reason not in ("VERSION_NOT_FOUND", "DATASET_NOT_FOUND"):
            raise


def list_secrets(project: pb.Project) -> list[secrets_pb2.Secret]:
    """The secrets of a project, and this user's, by name."""
    request = secrets_pb2.ListSecretsRequest(project_id=project.id)
    return list(pages(secrets().ListSecrets, request, "secrets"))


def secret_document(secret: secrets_pb2.Secret) -> dict[str, Any]:
    """A secret for --json; its value is not known."""
    is_user = secret.scope == secrets_pb2.SECRET_SCOPE_USER
    return {
        "name": secret.name,
        "scope": "user" if is_user else "project",
        "form": "file" if secret.form == secrets_pb2.SECRET_FORM_FILE else "environment",
        "update_time": iso(secret.update_time),
    }


def project_document(project: pb.Project) -> dict[str, Any]:
    """A project for --json."""
    return {
        "id": project.id,
        "name": project.name,
        "role": role_name(project.role),
        "create_time": iso(project.create_time),
        "stored_bytes": project.stored_bytes,
        "quota_bytes": project.quota_bytes or None,
    }


def member_document(member: pb.Member) -> dict[str, Any]:
    """A member for --json."""
    return {
        "username": member.username,
        "role": role_name(member.role),
        "create_time": iso(member.create_time),
    }


def version_document(version: data_pb.Version) -> dict[str, Any]:
    """A version of a dataset for --json."""
    return {
        "dataset": version.dataset,
        "version_number": version.version_number,
        "fingerprint": version.fingerprint,
        "sample_count": version.sample_count,
        "chunk_count": version.chunk_count,
        "stored_bytes": version.stored_bytes,
        "create_time": iso(version.create_time),
        "creator": version.creator or None,
    }


def role_name(role: int) -> str:
    """`owner` or `member`."""
    return next((name for name, number in ROLES.items() if number == role), "unknown")


def iso(timestamp: Any) -> str:
    """A time of a message, ISO 8601."""
    to_datetime: Callable[[timezone], Any] = timestamp.ToDatetime
    return str(to_datetime(timezone.utc).isoformat(timespec="seconds"))


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
