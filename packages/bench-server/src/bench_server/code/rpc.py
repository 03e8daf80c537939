"""bench.code.v1 on the server."""

from bench_protos.code.v1 import code_pb2 as pb

from bench_server.access import Caller, Rule, allow, uuid_of
from bench_server.code import services
from bench_server.code.models import ProjectVersion
from bench_server.rpc.convert import digest_of, timestamp
from bench_server.rpc.paging import page, page_of_list

KINDS = {
    "PLAIN": pb.FILE_KIND_PLAIN,
    "EXECUTABLE": pb.FILE_KIND_EXECUTABLE,
    "LINK": pb.FILE_KIND_LINK,
}


class CodeService:
    """The calls of the contract, by their names."""

    @allow(Rule.MEMBER)
    def CreateProjectVersion(
        self, caller: Caller, request: pb.CreateProjectVersionRequest
    ) -> pb.CreateProjectVersionResponse:
        """See the contract."""
        origin = services.Origin(
            git_commit=request.git_commit, git_dirty=request.git_dirty, message=request.message
        )
        version, existed = services.create_version(
            caller.project,
            caller.user,
            uuid_of("request_id", request.request_id),
            digest_of("bundle_digest", request.bundle_digest),
            [(pin.dataset, pin.version_number) for pin in request.datasets],
            origin,
        )
        return pb.CreateProjectVersionResponse(version=_version_message(version), existed=existed)

    @allow(Rule.MEMBER)
    def GetProjectVersion(
        self, caller: Caller, request: pb.GetProjectVersionRequest
    ) -> pb.GetProjectVersionResponse:
        """See the contract."""
        version = services.find_version(caller.project, request.version_number)
        return pb.GetProjectVersionResponse(version=_version_message(version))

    @allow(Rule.MEMBER)
    def ListProjectVersions(
        self, caller: Caller, request: pb.ListProjectVersionsRequest
    ) -> pb.ListProjectVersionsResponse:
        """See the contract."""
        versions = services.versions_of(caller.project)
        rows, following = page(versions, request, key="number", descending=True)
        return pb.ListProjectVersionsResponse(versions=map(_version_message, rows), next_page_token=following)

    @allow(Rule.MEMBER)
    def ListProjectFiles(
        self, caller: Caller, request: pb.ListProjectFilesRequest
    ) -> pb.ListProjectFilesResponse:
        """See the contract."""
        version = services.find_version(caller.project, request.version_number)
        rows, following = page_of_list(version.bundle.files, request, key=lambda row: str(row[0]))
        files = [
            pb.ProjectFile(path=path, kind=KINDS[kind], size_bytes=size, digest=digest)
            for path, kind, size, digest in rows
        ]
        return pb.ListProjectFilesResponse(files=files, next_page_token=following)


def _version_message(version: ProjectVersion) -> pb.ProjectVersion:
    pins = sorted(version.pins.all(), key=lambda pin: pin.dataset)
    return pb.ProjectVersion(
        version_number=version.number,
        bundle_digest=version.bundle_id,
        bundle_bytes=version.bundle.blob.size_bytes,
        file_count=version.file_count,
        datasets=[
            pb.PinnedDataset(
                dataset=pin.dataset,
                version_number=pin.number,
                fingerprint=pin.fingerprint,
                deleted=pin.dataset_version_id is None,
            )
            for pin in pins
        ],
        git_commit=version.git_commit,
        git_dirty=version.git_dirty,
        message=version.message,
        create_time=timestamp(version.create_time),
        creator=version.creator.username if version.creator else "",
    )
