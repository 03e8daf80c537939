"""The versions of a project on its server."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

import grpc
from bench_agent.blobs import download, find, upload, whole_size
from bench_agent.patience import Patience
from bench_agent.routes import BlobFile, Route
from bench_auth import NotFoundError, call, open_channel
from bench_auth.settings import ENDPOINT_VARIABLE
from bench_core import ProjectSettings
from bench_protos.code.v1 import code_pb2 as pb
from bench_protos.code.v1.code_pb2_grpc import CodeServiceStub
from bench_protos.data.v1 import datasets_pb2
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub

from bench_deploy.bundle import Bundle, BundleFile, FileKind
from bench_deploy.git_state import GitState

PAGE = 1000

CREATE_SECONDS = 120.0
"""The server reads the bundle before it makes a version."""

KINDS = {
    pb.FILE_KIND_PLAIN: FileKind.PLAIN,
    pb.FILE_KIND_EXECUTABLE: FileKind.EXECUTABLE,
    pb.FILE_KIND_LINK: FileKind.LINK,
}


@dataclass(frozen=True, kw_only=True)
class PinnedDataset:
    """A version of a dataset that a version of a project was migrated with.

    Args:
        dataset: The dataset's name.
        version_number: Of its version.
        fingerprint: Of its content.
        is_deleted: Whether that version was deleted since, by force.
    """

    dataset: str
    version_number: int
    fingerprint: str
    is_deleted: bool


@dataclass(frozen=True, kw_only=True)
class ProjectVersion:
    """A project as it was migrated once.

    Args:
        version_number: 1, 2, ...
        bundle_digest: BLAKE3 of the code's bundle, hex.
        bundle_bytes: The bundle's size.
        file_count: The files of the code.
        datasets: By name.
        git_commit: The commit that the code is from, hex; empty if there is none.
        is_dirty: Whether the code had changes that are not in it.
        message: Why it was made.
        creator: Who made it; empty if the account is gone.
        create_time: When, UTC.
    """

    version_number: int
    bundle_digest: str
    bundle_bytes: int
    file_count: int
    datasets: tuple[PinnedDataset, ...]
    git_commit: str
    is_dirty: bool
    message: str
    creator: str
    create_time: datetime


class ProjectVersions:
    """The versions of a project on its server.

    Args:
        project: The project.
        endpoint: The server; unless given `$BENCH_ENDPOINT`, `bench.toml`, the last login, in that order.

    Raises:
        NotLoggedInError: There is no login.
    """

    def __init__(self, project: ProjectSettings, endpoint: str | None = None) -> None:
        self._project_id = project.id
        self.endpoint = endpoint or os.environ.get(ENDPOINT_VARIABLE) or project.endpoint
        self._channel: grpc.Channel = open_channel(self.endpoint)
        self._code = CodeServiceStub(self._channel)

    def latest(self) -> ProjectVersion | None:
        """The latest version, or None if there is none yet.

        Raises:
            AuthError: The server refuses, or cannot be reached.
        """
        try:
            return self.get(0)
        except NotFoundError as error:
            if error.reason != "PROJECT_VERSION_NOT_FOUND":
                raise
            return None

    def get(self, version_number: int) -> ProjectVersion:
        """One version; 0 is the latest.

        Raises:
            NotFoundError: There is no such version.
            AuthError: The server refuses, or cannot be reached.
        """
        request = pb.GetProjectVersionRequest(project_id=self._project_id, version_number=version_number)
        return _version(call(self._code.GetProjectVersion, request).version)

    def all(self) -> Iterator[ProjectVersion]:
        """All versions, newest first.

        Raises:
            AuthError: The server refuses, or cannot be reached.
        """
        request = pb.ListProjectVersionsRequest(project_id=self._project_id)
        while True:
            page = call(self._code.ListProjectVersions, request)
            yield from map(_version, page.versions)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def files(self, version_number: int) -> tuple[BundleFile, ...]:
        """The files of a version's code, by path; 0 is the latest version.

        Raises:
            NotFoundError: There is no such version.
            AuthError: The server refuses, or cannot be reached.
        """
        found: list[BundleFile] = []
        request = pb.ListProjectFilesRequest(
            project_id=self._project_id, version_number=version_number, page_size=PAGE
        )
        while True:
            page = call(self._code.ListProjectFiles, request)
            found += [BundleFile(f.path, KINDS[f.kind], f.size_bytes, f.digest) for f in page.files]
            if not page.next_page_token:
                return tuple(found)
            request.page_token = page.next_page_token

    def has_bundle(self, digest: str) -> bool:
        """Whether the project has a bundle on the server.

        Raises:
            AuthError: The server refuses, or cannot be reached.
        """
        request = datasets_pb2.FindBlobsRequest(project_id=self._project_id, digests=[digest])
        return find(self._route(), request)[0].complete

    def upload(self, bundle: Bundle) -> None:
        """Send a bundle, from where an earlier attempt left off.

        Raises:
            AgentError: It does not get there.
            AuthError: The server refuses, or is away for too long.
        """
        route = self._route()
        request = datasets_pb2.FindBlobsRequest(project_id=self._project_id, digests=[bundle.digest])
        state = find(route, request)[0]
        if not state.complete:
            upload(route, BlobFile(bundle.digest, bundle.size, bundle.path), state.received_bytes)

    def download(self, digest: str, path: Path) -> None:
        """Fetch a bundle of the project.

        Args:
            digest: The bundle's.
            path: The file that it becomes.

        Raises:
            AgentError: It does not get here.
            AuthError: The server refuses, or is away for too long.
        """
        route = self._route()
        download(route, BlobFile(digest, whole_size(route, digest), path), durable=False)

    def create(
        self, bundle_digest: str, datasets: dict[str, int], git: GitState, message: str
    ) -> tuple[ProjectVersion, bool]:
        """Make a version from a bundle that is on the server.

        Args:
            bundle_digest: The bundle's.
            datasets: The version of each dataset to pin.
            git: The commit that the code is from.
            message: Why, for people.

        Returns:
            The version, and whether the latest one was the same already.

        Raises:
            AuthError: The server refuses, or cannot be reached.
        """
        request = pb.CreateProjectVersionRequest(
            request_id=str(uuid4()),
            project_id=self._project_id,
            bundle_digest=bundle_digest,
            datasets=[pb.PinnedDataset(dataset=name, version_number=n) for name, n in datasets.items()],
            git_commit=git.commit,
            git_dirty=git.is_dirty,
            message=message,
        )
        made = call(self._code.CreateProjectVersion, request, seconds=CREATE_SECONDS)
        return _version(made.version), made.existed

    def _route(self) -> Route:
        return Route(DatasetServiceStub(self._channel), self._project_id, Patience(), lambda _: None)


def _version(found: pb.ProjectVersion) -> ProjectVersion:
    return ProjectVersion(
        version_number=found.version_number,
        bundle_digest=found.bundle_digest,
        bundle_bytes=found.bundle_bytes,
        file_count=found.file_count,
        datasets=tuple(
            PinnedDataset(
                dataset=pin.dataset,
                version_number=pin.version_number,
                fingerprint=pin.fingerprint,
                is_deleted=pin.deleted,
            )
            for pin in found.datasets
        ),
        git_commit=found.git_commit,
        is_dirty=found.git_dirty,
        message=found.message,
        creator=found.creator,
        create_time=found.create_time.ToDatetime(tzinfo=timezone.utc),
    )
