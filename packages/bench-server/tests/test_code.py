"""bench.code.v1, as a client sees it."""

import datetime
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from bench_data import ProcessorDataset, WriteOptions, write_chunks
from bench_protos.code.v1 import code_pb2 as pb
from bench_protos.code.v1.code_pb2_grpc import CodeServiceStub
from bench_protos.data.v1 import datasets_pb2
from blake3 import blake3
from run_tools import bundle
from server_tools import channel_with, refusal
from test_datasets import Project

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Numbers(ProcessorDataset):
    """A label-only dataset whose content follows from its length."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def get_label_and_numeric_data(self, item: int) -> int:
        return item


class Coder(Project):
    """A project and its owner's stubs, also for its code."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.code = CodeServiceStub(channel_with(address, self.account.token))

    def push_numbers(self, folder: Path, count: int, dataset: str = "train") -> datasets_pb2.Version:
        root = folder / f"{dataset}{count}"
        write_chunks(Numbers(count), dataset, root=root, options=WriteOptions(workers=1, durable=False))
        request = self.push(root / dataset)
        request.dataset = dataset
        return self.stub.CreateVersion(request).version

    def request(self, digest: str, **datasets: int) -> pb.CreateProjectVersionRequest:
        return pb.CreateProjectVersionRequest(
            request_id=str(uuid4()),
            project_id=self.id,
            bundle_digest=digest,
            datasets=[pb.PinnedDataset(dataset=name, version_number=n) for name, n in datasets.items()],
            git_commit=COMMIT,
            git_dirty=True,
            message="try it",
        )

    def create(self, digest: str, **datasets: int) -> pb.CreateProjectVersionResponse:
        return self.code.CreateProjectVersion(self.request(digest, **datasets))


@pytest.fixture
def project(server_address: str) -> Coder:
    return Coder(server_address)


def test_a_version_pins_code_and_datasets(project: Coder, tmp_path: Path) -> None:
    train = project.push_numbers(tmp_path, 3)
    valid = project.push_numbers(tmp_path, 4, "valid")
    data = bundle(Models__net="net", train="train")
    made = project.create(project.upload(data), valid=1, train=1)
    assert not made.existed
    version = made.version
    assert version.HasField("create_time")
    version.ClearField("create_time")
    assert version == pb.ProjectVersion(
        version_number=1,
        bundle_digest=blake3(data).hexdigest(),
        bundle_bytes=len(data),
        file_count=2,
        datasets=[
            pb.PinnedDataset(dataset="train", version_number=1, fingerprint=train.fingerprint),
            pb.PinnedDataset(dataset="valid", version_number=1, fingerprint=valid.fingerprint),
        ],
        git_commit=COMMIT,
        git_dirty=True,
        message="try it",
        creator=project.account.username,
    )
    found = project.code.GetProjectVersion(pb.GetProjectVersionRequest(project_id=project.id)).version
    found.ClearField("create_time")
    assert found == version


def test_the_same_content_is_the_same_version_and_other_content_the_next(
    project: Coder, tmp_path: Path
) -> None:
    project.push_numbers(tmp_path, 3)
    first, second = project.upload(bundle(a="1")), project.upload(bundle(a="2"))
    made = project.create(first, train=1)
    again = project.create(first, train=1)
    assert (again.version, again.existed) == (made.version, True)
    request = project.request(second, train=1)
    numbers = [project.code.CreateProjectVersion(request).version.version_number for _ in range(2)]
    assert numbers == [2, 2]
    assert project.create(second).version.version_number == 3
    back = project.create(first, train=1)
    assert (back.version.version_number, back.existed) == (4, False)
    asked = pb.ListProjectVersionsRequest(project_id=project.id, page_size=3)
    page = project.code.ListProjectVersions(asked)
    assert [version.version_number for version in page.versions] == [4, 3, 2]
    asked.page_token = page.next_page_token
    page = project.code.ListProjectVersions(asked)
    assert ([version.version_number for version in page.versions], page.next_page_token) == ([1], "")


def test_of_two_at_once_none_is_lost(project: Coder) -> None:
    digests = [project.upload(bundle(a=str(number))) for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(project.create, digests))
    assert sorted(answer.version.version_number for answer in made) == list(range(1, 9))
    assert {answer.version.bundle_digest for answer in made} == set(digests)


def test_files_are_listed_by_path_and_paged(project: Coder) -> None:
    project.create(project.upload(bundle(a="1", b__c="22", d="")))
    request = pb.ListProjectFilesRequest(project_id=project.id, page_size=2)
    page = project.code.ListProjectFiles(request)
    plain = pb.FILE_KIND_PLAIN
    assert list(page.files) == [
        pb.ProjectFile(path="a.py", kind=plain, size_bytes=1, digest=blake3(b"1").hexdigest()),
        pb.ProjectFile(path="b/c.py", kind=plain, size_bytes=2, digest=blake3(b"22").hexdigest()),
    ]
    request.page_token = page.next_page_token
    page = project.code.ListProjectFiles(request)
    assert ([file.path for file in page.files], page.next_page_token) == (["d.py"], "")
    request.page_token = "%"
    assert refusal(project.code.ListProjectFiles, request) == ("INVALID_ARGUMENT", "FIELD_INVALID")
    request.page_token, request.page_size = "", -1
    assert refusal(project.code.ListProjectFiles, request) == ("INVALID_ARGUMENT", "FIELD_INVALID")


def test_a_version_that_is_not_there(project: Coder) -> None:
    not_there = ("NOT_FOUND", "PROJECT_VERSION_NOT_FOUND")
    for number in (0, 1, -1):
        request = pb.GetProjectVersionRequest(project_id=project.id, version_number=number)
        assert refusal(project.code.GetProjectVersion, request) == not_there
    files = pb.ListProjectFilesRequest(project_id=project.id)
    assert refusal(project.code.ListProjectFiles, files) == not_there
    assert not project.code.ListProjectVersions(pb.ListProjectVersionsRequest(project_id=project.id)).versions


def test_what_cannot_be_a_version(project: Coder, tmp_path: Path) -> None:
    project.push_numbers(tmp_path, 3)
    good = project.upload(bundle(a="1"))
    others = Coder(project.address).upload(bundle(a="other project's"))
    field, missing = ("INVALID_ARGUMENT", "FIELD_INVALID"), ("FAILED_PRECONDITION", "BLOBS_MISSING")
    double = project.request(good, train=1)
    double.datasets.add(dataset="train", version_number=1)
    too_many = project.request(good)
    for number in range(1001):
        too_many.datasets.add(dataset=f"d{number}", version_number=1)
    cases = [
        (project.request("0" * 64), missing),
        (project.request(others), missing),
        (project.request("xyz"), field),
        (project.request(project.upload(b"no zip")), ("INVALID_ARGUMENT", "BUNDLE_INVALID")),
        (project.request(good, train=0), field),
        (project.request(good, train=2), ("NOT_FOUND", "VERSION_NOT_FOUND")),
        (project.request(good, valid=1), ("NOT_FOUND", "DATASET_NOT_FOUND")),
        (double, field),
        (too_many, field),
    ]
    for name, value in {"git_commit": "HEAD", "message": "x" * 1001, "request_id": "x"}.items():
        request = project.request(good)
        setattr(request, name, value)
        cases.append((request, field))
    for request, expected in cases:
        assert refusal(project.code.CreateProjectVersion, request) == expected
    assert not project.code.ListProjectVersions(pb.ListProjectVersionsRequest(project_id=project.id)).versions


def test_a_pinned_dataset_version_is_deleted_by_force_only(project: Coder, tmp_path: Path) -> None:
    project.push_numbers(tmp_path, 3)
    project.create(project.upload(bundle(a="1")), train=1)
    request = datasets_pb2.DeleteVersionRequest(project_id=project.id, dataset="train", version_number=1)
    assert refusal(project.stub.DeleteVersion, request) == ("FAILED_PRECONDITION", "VERSION_PINNED")
    request.force = True
    project.stub.DeleteVersion(request)
    version = project.code.GetProjectVersion(pb.GetProjectVersionRequest(project_id=project.id)).version
    assert [(pin.dataset, pin.version_number, pin.deleted) for pin in version.datasets] == [
        ("train", 1, True)
    ]


def test_gc_spares_the_bundles_of_versions(project: Coder) -> None:
    from bench_server.code.models import Bundle
    from bench_server.datasets.garbage import collect_garbage
    from bench_server.datasets.models import Blob, ProjectBlob
    from django.utils import timezone

    data = bundle(a=project.id)
    needed, unneeded = project.upload(data), project.upload(bundle(b=project.id))
    project.create(needed)
    then = timezone.now() - datetime.timedelta(days=2)
    ProjectBlob.objects.filter(project=UUID(project.id)).update(create_time=then)
    Blob.objects.filter(projects__project=UUID(project.id)).update(create_time=then)
    collect_garbage(remove=True)
    assert project.state(unneeded) == (0, False)
    assert project.download(needed) == data
    project.account.delete_project(project.id)
    collect_garbage(remove=True)
    assert not Bundle.objects.filter(pk=needed).exists()
