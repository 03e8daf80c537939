"""bench.data.v1 on the server."""

import re
from collections.abc import Iterator, Sequence

from bench_protos.data.v1 import datasets_pb2 as pb

from bench_server.access import Caller, Rule, allow, uuid_of
from bench_server.datasets import blobs, services
from bench_server.datasets.models import Version
from bench_server.errors import Refused, invalid
from bench_server.rpc.convert import digest_of, timestamp
from bench_server.rpc.paging import page, page_after

INCOMING_NAME = re.compile("[0-9a-f]{32}")
MAX_DIGESTS = 10_000
MAX_FILES = 1_000


class DatasetService:
    """The calls of the contract, by their names."""

    @allow(Rule.MEMBER)
    def FindBlobs(self, caller: Caller, request: pb.FindBlobsRequest) -> pb.FindBlobsResponse:
        """See the contract."""
        return pb.FindBlobsResponse(blobs=_states(caller, _digests(request.digests)))

    @allow(Rule.MEMBER)
    def UploadBlob(
        self, caller: Caller, first: pb.UploadBlobRequest, rest: Iterator[pb.UploadBlobRequest]
    ) -> pb.UploadBlobResponse:
        """See the contract."""
        digest = digest_of("digest", first.digest)
        if first.data:
            raise invalid("data", "comes with the second message")
        data = (message.data for message in rest)
        received = blobs.receive(caller.project, digest, first.size_bytes, first.offset, data)
        return pb.UploadBlobResponse(received_bytes=received)

    @allow(Rule.MEMBER)
    def DownloadBlob(
        self, caller: Caller, request: pb.DownloadBlobRequest
    ) -> Iterator[pb.DownloadBlobResponse]:
        """See the contract."""
        digest = digest_of("digest", request.digest)
        for data in blobs.read(caller.project, digest, request.offset, request.length):
            yield pb.DownloadBlobResponse(data=data)

    @allow(Rule.MEMBER)
    def AdoptBlobs(self, caller: Caller, request: pb.AdoptBlobsRequest) -> pb.AdoptBlobsResponse:
        """See the contract."""
        _check_local(caller)
        if len(request.files) > MAX_FILES:
            raise invalid("files", f"are {len(request.files)}; at most {MAX_FILES} are taken")
        files = [(digest_of("digest", file.digest), _incoming_name(file.name)) for file in request.files]
        blobs.adopt(caller.project, files)
        return pb.AdoptBlobsResponse(blobs=_states(caller, [digest for digest, _ in files]))

    @allow(Rule.MEMBER)
    def LendBlobs(self, caller: Caller, request: pb.LendBlobsRequest) -> pb.LendBlobsResponse:
        """See the contract."""
        _check_local(caller)
        return pb.LendBlobsResponse(paths=blobs.lend(caller.project, _digests(request.digests)))

    @allow(Rule.MEMBER)
    def CreateVersion(self, caller: Caller, request: pb.CreateVersionRequest) -> pb.CreateVersionResponse:
        """See the contract."""
        request_id = uuid_of("request_id", request.request_id)
        version, existed = services.create_version(
            caller.project, caller.user, request.dataset, request_id, request.manifest
        )
        return pb.CreateVersionResponse(version=_version_message(version), existed=existed)

    @allow(Rule.MEMBER)
    def GetVersion(self, caller: Caller, request: pb.GetVersionRequest) -> pb.GetVersionResponse:
        """See the contract."""
        version = services.find_version(caller.project, request.dataset, request.version_number)
        return pb.GetVersionResponse(version=_version_message(version), manifest=bytes(version.manifest))

    @allow(Rule.MEMBER)
    def ListDatasets(self, caller: Caller, request: pb.ListDatasetsRequest) -> pb.ListDatasetsResponse:
        """See the contract."""
        rows, following = page_after(
            lambda after, count: services.some_newest_versions(caller.project, after, count),
            request,
            key="dataset__name",
        )
        return pb.ListDatasetsResponse(datasets=map(_dataset_message, rows), next_page_token=following)

    @allow(Rule.MEMBER)
    def ListVersions(self, caller: Caller, request: pb.ListVersionsRequest) -> pb.ListVersionsResponse:
        """See the contract."""
        versions = services.versions_of(caller.project, request.dataset)
        rows, following = page(versions, request, key="number", descending=True)
        return pb.ListVersionsResponse(versions=map(_version_message, rows), next_page_token=following)

    @allow(Rule.PROJECT_OWNER)
    def DeleteVersion(self, caller: Caller, request: pb.DeleteVersionRequest) -> pb.DeleteVersionResponse:
        """See the contract."""
        if request.version_number < 1:
            raise invalid("version_number", "must name one version")
        version = services.find_version(caller.project, request.dataset, request.version_number)
        services.delete_version(version, force=request.force)
        return pb.DeleteVersionResponse()


def _check_local(caller: Caller) -> None:
    if not caller.is_loopback:
        raise Refused("NOT_LOOPBACK", "this is for processes on the server's own machine")


def _states(caller: Caller, digests: list[str]) -> list[pb.BlobState]:
    states = zip(digests, blobs.received(caller.project, digests), strict=True)
    return [
        pb.BlobState(digest=digest, received_bytes=received, complete=complete)
        for digest, (received, complete) in states
    ]


def _incoming_name(text: str) -> str:
    if not INCOMING_NAME.fullmatch(text):
        raise invalid("name", f"{text[:80]!r} is not 32 hex digits in lower case")
    return text


def _digests(texts: Sequence[str]) -> list[str]:
    if len(texts) > MAX_DIGESTS:
        raise invalid("digests", f"are {len(texts)}; at most {MAX_DIGESTS} are taken")
    return [digest_of("digests", text) for text in texts]


def _version_message(version: Version) -> pb.Version:
    return pb.Version(
        dataset=version.dataset.name,
        version_number=version.number,
        fingerprint=version.fingerprint,
        sample_count=version.sample_count,
        chunk_count=version.chunk_count,
        stored_bytes=version.stored_bytes,
        create_time=timestamp(version.create_time),
        creator=version.creator.username if version.creator else "",
    )


def _dataset_message(latest: Version) -> pb.Dataset:
    return pb.Dataset(
        name=latest.dataset.name,
        latest=_version_message(latest),
        version_count=latest.version_count,  # type: ignore[attr-defined]
    )
