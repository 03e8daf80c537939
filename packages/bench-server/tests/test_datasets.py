"""bench.data.v1, as a client sees it."""

import os
import queue
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import bench_auth
import grpc
import numpy as np
import pytest
from bench_data import ProcessorDataset, WriteOptions, verify, write_chunks
from bench_data.manifest import chunk_name, read_manifest, segment_name
from bench_protos.data.v1 import datasets_pb2 as pb
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub
from bench_server.errors import Refused
from blake3 import blake3
from server_tools import Account, channel_with, new_account, refusal

MESSAGE = 1 << 20


class Files(ProcessorDataset):
    """Files with random bytes, and a label of two parts."""

    def __init__(self, folder: Path, count: int) -> None:
        self._paths = [folder / f"{number}.bin" for number in range(count)]
        for number, path in enumerate(self._paths):
            path.write_bytes(np.random.default_rng(number).bytes(40_000))

    def __len__(self) -> int:
        return len(self._paths)

    def get_file(self, item: int) -> list[str]:
        return [str(self._paths[item])]

    def get_label_and_numeric_data(self, item: int) -> tuple[int, str]:
        return item, f"label {item}"


class Project:
    """A project and its owner's stub."""

    def __init__(self, address: str, account: Account | None = None) -> None:
        self.address = address
        self.account = account or new_account(address)
        self.id = self.account.create_project(f"p{uuid4().hex}").id
        self.uuid = UUID(self.id)
        self.stub = DatasetServiceStub(channel_with(address, self.account.token))

    def messages(
        self, data: bytes, offset: int = 0, *, digest: str = "", size: int | None = None
    ) -> Iterator[pb.UploadBlobRequest]:
        digest = digest or blake3(data).hexdigest()
        size = len(data) if size is None else size
        yield pb.UploadBlobRequest(project_id=self.id, digest=digest, size_bytes=size, offset=offset)
        for at in range(offset, len(data), MESSAGE):
            yield pb.UploadBlobRequest(data=data[at : at + MESSAGE])

    def upload(self, data: bytes) -> str:
        assert self.stub.UploadBlob(self.messages(data)).received_bytes == len(data)
        return blake3(data).hexdigest()

    def push(self, folder: Path) -> pb.CreateVersionRequest:
        """Upload all of a dataset's files, and the request that makes the version."""
        for name in sorted(read_manifest(folder).file_names()):
            self.upload((folder / name).read_bytes())
        return self.version_request(folder)

    def version_request(self, folder: Path, dataset: str = "train") -> pb.CreateVersionRequest:
        manifest = (folder / "dataset.json").read_bytes()
        return pb.CreateVersionRequest(
            request_id=str(uuid4()), project_id=self.id, dataset=dataset, manifest=manifest
        )

    def download(self, digest: str, offset: int = 0, length: int = 0) -> bytes:
        request = pb.DownloadBlobRequest(project_id=self.id, digest=digest, offset=offset, length=length)
        return b"".join(message.data for message in self.stub.DownloadBlob(request))

    def state(self, digest: str) -> tuple[int, bool]:
        request = pb.FindBlobsRequest(project_id=self.id, digests=[digest])
        [found] = self.stub.FindBlobs(request).blobs
        return found.received_bytes, found.complete


@pytest.fixture
def project(server_address: str) -> Project:
    return Project(server_address)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("dataset")
    options = WriteOptions(workers=1, chunk_bytes=500_000)
    write_chunks(Files(place, 40), "train", root=place / "out", options=options)
    return place / "out" / "train"


def test_a_dataset_goes_up_and_comes_back(project: Project, folder: Path, tmp_path: Path) -> None:
    made = project.stub.CreateVersion(project.push(folder))
    assert not made.existed
    version = made.version
    assert (version.dataset, version.version_number, version.sample_count) == ("train", 1, 40)
    assert (version.creator, version.chunk_count > 2) == (project.account.username, True)

    found = project.stub.GetVersion(pb.GetVersionRequest(project_id=project.id, dataset="train"))
    assert found.version == version
    copy = tmp_path / "copy"
    (copy / "chunks").mkdir(parents=True)
    (copy / "dataset.json").write_bytes(found.manifest)
    manifest = read_manifest(folder)
    for digest in manifest.segment_digests:
        (copy / segment_name(digest)).write_bytes(project.download(digest))
    for digest in read_manifest(copy).chunk_digests:
        (copy / chunk_name(digest)).write_bytes(project.download(digest))
    assert verify(copy).ok

    [dataset] = project.stub.ListDatasets(pb.ListDatasetsRequest(project_id=project.id)).datasets
    assert (dataset.name, dataset.version_count, dataset.latest) == ("train", 1, version)
    from bench_protos.projects.v1 import projects_pb2

    request = projects_pb2.GetProjectRequest(project_id=project.id)
    assert project.account.projects.GetProject(request).project.stored_bytes == version.stored_bytes


def test_the_same_content_is_the_same_version(project: Project, folder: Path) -> None:
    request = project.push(folder)
    first = project.stub.CreateVersion(request)
    assert project.stub.CreateVersion(request).version == first.version
    again = project.stub.CreateVersion(project.version_request(folder))
    assert (again.version, again.existed) == (first.version, True)
    other = project.stub.CreateVersion(project.version_request(folder, "other")).version
    assert (other.version_number, other.fingerprint) == (1, first.version.fingerprint)


def test_an_upload_goes_on_where_it_broke_off(project: Project) -> None:
    data = os.urandom(3 * MESSAGE + 17)
    digest = blake3(data).hexdigest()
    assert project.state(digest) == (0, False)

    def broken() -> Iterator[pb.UploadBlobRequest]:
        messages = project.messages(data)
        yield next(messages)
        yield next(messages)
        yield next(messages)

    assert project.stub.UploadBlob(broken()).received_bytes == 2 * MESSAGE
    assert project.state(digest) == (2 * MESSAGE, False)
    call = refusal(project.stub.UploadBlob, project.messages(data, MESSAGE))
    assert call == ("OUT_OF_RANGE", "OFFSET_MISMATCH")
    assert project.stub.UploadBlob(project.messages(data, 2 * MESSAGE)).received_bytes == len(data)
    assert project.state(digest) == (len(data), True)
    assert project.download(digest) == data
    assert project.stub.UploadBlob(project.messages(data)).received_bytes == len(data)  # there already


def test_ranges(project: Project) -> None:
    data = os.urandom(2 * MESSAGE + 5)
    digest = project.upload(data)
    for offset, length in ((0, 1), (MESSAGE - 1, 2), (2 * MESSAGE, 5), (5, MESSAGE), (len(data), 0), (7, 0)):
        end = offset + length if length else len(data)
        assert project.download(digest, offset, length) == data[offset:end]
    for offset, length in ((-1, 1), (0, -1), (len(data) + 1, 0), (0, len(data) + 1), (1 << 62, 1 << 62)):
        request = pb.DownloadBlobRequest(project_id=project.id, digest=digest, offset=offset, length=length)
        found = refusal(lambda r, timeout: list(project.stub.DownloadBlob(r)), request)
        assert found == ("OUT_OF_RANGE", "RANGE_INVALID"), (offset, length)


def test_an_empty_blob(project: Project) -> None:
    digest = project.upload(b"")
    assert (project.state(digest), project.download(digest)) == ((0, True), b"")


def test_bytes_that_are_not_those_of_the_digest(project: Project) -> None:
    data, digest = b"x" * 100, blake3(b"y" * 100).hexdigest()
    found = refusal(project.stub.UploadBlob, project.messages(data, digest=digest))
    assert found == ("INVALID_ARGUMENT", "DIGEST_MISMATCH")
    assert project.state(digest) == (0, False)
    assert project.stub.UploadBlob(project.messages(b"y" * 100)).received_bytes == 100


@pytest.mark.parametrize("size", [50, 0, -1])
def test_more_bytes_than_were_said(project: Project, size: int) -> None:
    found = refusal(project.stub.UploadBlob, project.messages(b"x" * 100, size=size))
    assert found == ("INVALID_ARGUMENT", "FIELD_INVALID")


def test_messages_that_will_not_do(project: Project) -> None:
    invalid = ("INVALID_ARGUMENT", "FIELD_INVALID")
    digest = blake3(b"xy").hexdigest()
    first = pb.UploadBlobRequest(project_id=project.id, digest=digest, size_bytes=4 * MESSAGE)
    for streams in (
        [],
        [first, pb.UploadBlobRequest(data=b"")],
        [first, pb.UploadBlobRequest(data=bytes(MESSAGE + 1))],
        [pb.UploadBlobRequest(project_id=project.id, digest=digest, size_bytes=2, data=b"xy")],
        *(
            [pb.UploadBlobRequest(project_id=project.id, digest=bad, size_bytes=2)]
            for bad in ("", "../../etc/passwd", digest.upper(), digest[:-1], digest + "0")
        ),
    ):
        assert refusal(project.stub.UploadBlob, iter(streams)) == invalid
    many = pb.FindBlobsRequest(project_id=project.id, digests=[digest] * 10_001)
    assert refusal(project.stub.FindBlobs, many) == invalid


def test_a_digest_alone_opens_nothing(server_address: str, project: Project, folder: Path) -> None:
    data = os.urandom(1000)
    digest = project.upload(data)
    other = Project(server_address)
    assert other.state(digest) == (0, False)
    request = pb.DownloadBlobRequest(project_id=other.id, digest=digest)
    found = refusal(lambda r, timeout: list(other.stub.DownloadBlob(r)), request)
    assert found == ("NOT_FOUND", "BLOB_NOT_FOUND")
    project.push(folder)
    found = refusal(other.stub.CreateVersion, other.version_request(folder))
    assert found == ("FAILED_PRECONDITION", "BLOBS_MISSING")
    assert other.upload(data) == digest
    assert other.download(digest) == data


def test_two_at_once_on_one_blob(project: Project) -> None:
    data = os.urandom(2 * MESSAGE)
    digest = blake3(data).hexdigest()
    messages = project.messages(data)
    waiting: queue.Queue[pb.UploadBlobRequest | None] = queue.Queue()
    call = project.stub.UploadBlob.future(iter(waiting.get, None))
    waiting.put(next(messages))
    waiting.put(next(messages))
    while project.state(digest)[0] < MESSAGE:
        time.sleep(0.01)
    found = refusal(project.stub.UploadBlob, project.messages(data, MESSAGE))
    assert found == ("ABORTED", "UPLOAD_IN_PROGRESS")
    waiting.put(next(messages))
    waiting.put(None)
    assert call.result().received_bytes == len(data)
    assert project.download(digest) == data


def test_a_token_that_is_revoked_ends_the_streams(
    server_address: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench_server.accounts.models import Token
    from bench_server.rpc import calls

    monkeypatch.setattr(calls, "RECHECK_SECONDS", 0.0)
    data = os.urandom(8 * MESSAGE)
    digest = project.upload(data)
    request = pb.DownloadBlobRequest(project_id=project.id, digest=digest)
    download = project.stub.DownloadBlob(request)
    next(download)
    other = os.urandom(2 * MESSAGE)
    messages = project.messages(other)
    waiting: queue.Queue[pb.UploadBlobRequest | None] = queue.Queue()
    upload = project.stub.UploadBlob.future(iter(waiting.get, None))
    waiting.put(next(messages))
    waiting.put(next(messages))
    while project.state(blake3(other).hexdigest())[0] < MESSAGE:
        time.sleep(0.01)
    Token.objects.filter(user__username=project.account.username).delete()
    waiting.put(next(messages))
    waiting.put(None)
    for stream in (upload.result, lambda: list(download)):
        with pytest.raises(grpc.RpcError) as caught:
            stream()
        error = bench_auth.translate(caught.value)
        assert isinstance(error, bench_auth.NotLoggedInError)
        assert str(error) == "the token is unknown or was revoked\nHint: Log in again."


def test_a_project_that_is_deleted_meanwhile(project: Project, folder: Path) -> None:
    from bench_protos.projects.v1 import projects_pb2
    from bench_server.datasets import blobs
    from bench_server.projects.models import Project as Row

    row = Row.objects.get(pk=project.id)
    request = project.push(folder)
    delete = projects_pb2.DeleteProjectRequest(project_id=project.id)
    project.account.projects.DeleteProject(delete)
    with pytest.raises(Refused, match="was deleted meanwhile") as caught:
        blobs.receive(row, blake3(b"xy").hexdigest(), 2, 0, [b"xy"])
    assert caught.value.reason == "PROJECT_NOT_FOUND"
    assert refusal(project.stub.CreateVersion, request) == ("NOT_FOUND", "PROJECT_NOT_FOUND")


def test_streams_leave_room_for_other_calls(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from bench_server.rpc import calls

    data = os.urandom(100)
    digest = project.upload(data)
    monkeypatch.setattr(calls, "_streams", threading.BoundedSemaphore(1))
    waiting: queue.Queue[pb.UploadBlobRequest | None] = queue.Queue()
    upload = project.stub.UploadBlob.future(iter(waiting.get, None))
    messages = project.messages(b"xy")
    waiting.put(next(messages))
    request = pb.DownloadBlobRequest(project_id=project.id, digest=digest)
    while calls._streams._value:
        time.sleep(0.01)
    found = refusal(lambda r, timeout: list(project.stub.DownloadBlob(r)), request)
    assert found == ("RESOURCE_EXHAUSTED", "TOO_MANY_STREAMS")
    assert project.state(digest) == (100, True)
    waiting.put(next(messages))
    waiting.put(None)
    assert upload.result().received_bytes == 2
    assert project.download(digest) == data


def test_an_earlier_call_that_claimed_more_bytes_is_no_obstacle(project: Project) -> None:
    data = os.urandom(100)
    digest = blake3(data).hexdigest()
    first = pb.UploadBlobRequest(project_id=project.id, digest=digest, size_bytes=300)
    project.stub.UploadBlob(iter([first, pb.UploadBlobRequest(data=b"x" * 200)]))
    found = refusal(project.stub.UploadBlob, project.messages(data, offset=0))
    assert found == ("OUT_OF_RANGE", "OFFSET_MISMATCH")
    assert project.upload(data) == digest


@pytest.mark.parametrize(
    "text", ["x" * 100_000, '{"format": "' + "x" * 100_000 + '"}', '{"labels": "\\ud800", "segments": []}']
)
def test_whatever_is_sent_the_reason_gets_through(project: Project, text: str) -> None:
    request = pb.CreateVersionRequest(
        request_id=str(uuid4()), project_id=project.id, dataset="train", manifest=text.encode()
    )
    assert refusal(project.stub.CreateVersion, request) == ("INVALID_ARGUMENT", "MANIFEST_INVALID")
    long = pb.GetVersionRequest(project_id="x" * 100_000)
    assert refusal(project.stub.GetVersion, long) == ("INVALID_ARGUMENT", "FIELD_INVALID")


def test_a_quota(server_address: str, project: Project, folder: Path) -> None:
    from bench_server.projects.models import Project as Row

    Row.objects.filter(pk=project.id).update(quota_bytes=1500)
    project.upload(os.urandom(1000))
    found = refusal(project.stub.UploadBlob, project.messages(os.urandom(501)))
    assert found == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
    project.upload(os.urandom(500))


def test_versions_are_listed_and_deleted(project: Project, folder: Path, tmp_path: Path) -> None:
    project.stub.CreateVersion(project.push(folder))
    write_chunks(Files(tmp_path, 3), "train", root=tmp_path / "out", options=WriteOptions(workers=1))
    second = project.stub.CreateVersion(project.push(tmp_path / "out" / "train")).version
    assert second.version_number == 2
    request = pb.ListVersionsRequest(project_id=project.id, dataset="train", page_size=1)
    page = project.stub.ListVersions(request)
    assert [version.version_number for version in page.versions] == [2]
    request.page_token = page.next_page_token
    page = project.stub.ListVersions(request)
    assert ([version.version_number for version in page.versions], page.next_page_token) == ([1], "")

    def delete(number: int) -> pb.DeleteVersionRequest:
        return pb.DeleteVersionRequest(project_id=project.id, dataset="train", version_number=number)

    def get(number: int) -> pb.GetVersionRequest:
        return pb.GetVersionRequest(project_id=project.id, dataset="train", version_number=number)

    project.stub.DeleteVersion(delete(2))
    assert refusal(project.stub.GetVersion, get(2)) == ("NOT_FOUND", "VERSION_NOT_FOUND")
    third = project.stub.CreateVersion(project.version_request(tmp_path / "out" / "train")).version
    assert third.version_number == 3  # a number is never given twice
    project.stub.DeleteVersion(delete(3))
    project.stub.DeleteVersion(delete(1))
    assert refusal(project.stub.GetVersion, get(0)) == ("NOT_FOUND", "DATASET_NOT_FOUND")
    assert refusal(project.stub.DeleteVersion, delete(0)) == ("INVALID_ARGUMENT", "FIELD_INVALID")


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "x" * 101, "ü"])
def test_names_that_will_not_do(project: Project, folder: Path, name: str) -> None:
    found = refusal(project.stub.CreateVersion, project.version_request(folder, name))
    assert found == ("INVALID_ARGUMENT", "FIELD_INVALID")


@pytest.mark.parametrize(
    "manifest", [b"", b"{}", b"[]", b"\xff", b'{"format": "bench-dataset"}', b"[" * 100_000]
)
def test_manifests_that_are_none(project: Project, manifest: bytes) -> None:
    request = pb.CreateVersionRequest(
        request_id=str(uuid4()), project_id=project.id, dataset="train", manifest=manifest
    )
    assert refusal(project.stub.CreateVersion, request) == ("INVALID_ARGUMENT", "MANIFEST_INVALID")


def test_a_manifest_that_says_something_else(project: Project, folder: Path) -> None:
    request = project.push(folder)
    for before, after in (
        (b'"samples":40', b'"samples":41'),
        (b'"with_files":true', b'"with_files":false'),
        (b'"bytes":', b'"bytes":1'),
        (b'{"bytes"', b' {"bytes"'),
    ):
        assert before in request.manifest
        changed = pb.CreateVersionRequest()
        changed.CopyFrom(request)
        changed.manifest = request.manifest.replace(before, after, 1)
        assert refusal(project.stub.CreateVersion, changed) == ("INVALID_ARGUMENT", "MANIFEST_INVALID")
    assert not project.stub.ListDatasets(pb.ListDatasetsRequest(project_id=project.id)).datasets


def test_two_uploads_do_not_both_take_the_last_bytes_of_a_quota(project: Project) -> None:
    from bench_server.projects.models import Project as Row

    Row.objects.filter(pk=project.id).update(quota_bytes=1500)
    calls, queues = [], []
    for _ in range(2):
        messages = project.messages(os.urandom(1000))
        waiting: queue.Queue[pb.UploadBlobRequest | None] = queue.Queue()
        waiting.put(next(messages))
        calls.append(project.stub.UploadBlob.future(iter(waiting.get, None)))
        queues.append((waiting, messages))
    for waiting, messages in queues:  # both have been let in before either is whole
        waiting.put(next(messages))
        waiting.put(None)
    codes = sorted(str(call.code()) for call in calls)
    assert codes == ["StatusCode.OK", "StatusCode.RESOURCE_EXHAUSTED"]
    from bench_server.datasets.blobs import stored_bytes

    assert stored_bytes(Row.objects.get(pk=project.id)) == 1000


def test_files_that_are_adopted(project: Project) -> None:
    from bench_server.projects.models import Project as Row
    from django.conf import settings

    incoming = settings.FOLDER.path / "incoming"
    incoming.mkdir(exist_ok=True)
    data = os.urandom(1000)
    name = uuid4().hex
    (incoming / name).write_bytes(data)

    def request(digest: str, name: str, count: int = 1) -> pb.AdoptBlobsRequest:
        files = [pb.IncomingFile(digest=digest, name=name)] * count
        return pb.AdoptBlobsRequest(project_id=project.id, files=files)

    digest, invalid = blake3(data).hexdigest(), ("INVALID_ARGUMENT", "FIELD_INVALID")
    for bad in ("", "../server.json", name[:-1], name.upper() + "G", f"../incoming/{name}"):
        assert refusal(project.stub.AdoptBlobs, request(digest, bad)) == invalid
    assert refusal(project.stub.AdoptBlobs, request(digest[:-1], name)) == invalid
    assert refusal(project.stub.AdoptBlobs, request(digest, name, 1001)) == invalid
    [state] = project.stub.AdoptBlobs(request(blake3(b"other").hexdigest(), name)).blobs
    assert not state.complete
    Row.objects.filter(pk=project.id).update(quota_bytes=999)
    found = refusal(project.stub.AdoptBlobs, request(digest, name))
    assert found == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
    Row.objects.filter(pk=project.id).update(quota_bytes=1000)
    [state] = project.stub.AdoptBlobs(request(digest, name)).blobs
    assert (state.complete, state.received_bytes) == (True, 1000)
    assert project.download(digest) == data
    assert not (incoming / name).exists()


def test_a_blob_is_lent_to_its_project_only(server_address: str, project: Project) -> None:
    digest = project.upload(os.urandom(1000))
    request = pb.LendBlobsRequest(project_id=project.id, digests=[digest])
    [path] = project.stub.LendBlobs(request).paths
    assert blake3(Path(path).read_bytes()).hexdigest() == digest
    other = Project(server_address)
    request.project_id = other.id
    assert list(other.stub.LendBlobs(request).paths) == [""]


def test_who_comes_over_the_network_neither_gives_nor_takes_files(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench_server.access import Caller

    monkeypatch.setattr(Caller, "is_loopback", False)
    refused = ("PERMISSION_DENIED", "NOT_LOOPBACK")
    assert refusal(project.stub.AdoptBlobs, pb.AdoptBlobsRequest(project_id=project.id)) == refused
    assert refusal(project.stub.LendBlobs, pb.LendBlobsRequest(project_id=project.id)) == refused


def test_a_blob_that_is_damaged_or_gone_is_sent_again(project: Project) -> None:
    from bench_server.datasets.blobs import the_store

    data = os.urandom(1000)
    digest = project.upload(data)
    the_store().remove(digest)
    request = pb.DownloadBlobRequest(project_id=project.id, digest=digest)
    found = refusal(lambda r, timeout: list(project.stub.DownloadBlob(r)), request)
    assert found == ("FAILED_PRECONDITION", "BLOB_DAMAGED")
    assert project.state(digest) == (0, False)
    project.upload(data)
    assert project.download(digest) == data


def test_a_blob_that_goes_before_the_commit_is_missing(project: Project, folder: Path) -> None:
    from bench_server.datasets.blobs import the_store

    request = project.push(folder)
    gone = next(iter(read_manifest(folder).chunk_digests))
    the_store().remove(gone)
    assert refusal(project.stub.CreateVersion, request) == ("FAILED_PRECONDITION", "BLOBS_MISSING")
    project.push(folder)
    assert project.stub.CreateVersion(request).version.version_number == 1
