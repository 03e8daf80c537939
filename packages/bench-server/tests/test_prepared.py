"""Prepared queries answer as Django's own do, and calls make few."""

from uuid import uuid4

import pytest
from bench_protos.data.v1 import datasets_pb2 as pb
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub
from bench_server.accounts.models import User
from bench_server.datasets.models import Dataset, Version
from bench_server.datasets.services import find_version, newest_versions, some_newest_versions, versions_of
from bench_server.errors import Refused
from bench_server.prepared import Prepared
from bench_server.projects.models import Membership, Project
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from server_tools import channel_with, new_account

MEMBERSHIPS = Membership.objects.select_related("project", "user")


@pytest.fixture
def membership(server_address: str) -> Membership:
    account = new_account(server_address)
    project = account.create_project(f"p{uuid4().hex}")
    return MEMBERSHIPS.get(project_id=project.id)


def _fields(found: Model) -> dict[str, object]:
    return {field.attname: getattr(found, field.attname) for field in found._meta.concrete_fields}


def _version(project: Project, name: str, number: int, creator: User | None = None) -> Version:
    dataset, _ = Dataset.objects.get_or_create(project=project, name=name)
    return Version.objects.create(
        dataset=dataset,
        number=number,
        request_id=uuid4(),
        fingerprint="f" * 64,
        manifest=b"\x00manifest",
        sample_count=3,
        chunk_count=1,
        stored_bytes=2**40,
        creator=creator,
    )


def test_a_row_and_what_it_refers_to_are_those_of_django(membership: Membership) -> None:
    prepared = Prepared(MEMBERSHIPS, "user_id", "project_id")
    found = membership
    for _ in range(2):
        found = prepared.first(membership.user_id, membership.project_id) or membership
        assert found is not membership
        for ours, theirs in (
            (found, membership),
            (found.project, membership.project),
            (found.user, membership.user),
        ):
            assert (type(ours), _fields(ours)) == (type(theirs), _fields(theirs))
    with CaptureQueriesContext(connection) as made:
        assert (found.project.name, found.user.username) != ("", "")
    assert not made.captured_queries
    assert prepared.first(membership.user_id, uuid4()) is None


def test_a_reference_to_nothing_stays_none(membership: Membership) -> None:
    _version(membership.project, "train", 1)
    found = find_version(membership.project, "train", 1)
    assert (found.creator, bytes(found.manifest)) == (None, b"\x00manifest")


def test_a_number_that_no_database_takes_is_not_found(membership: Membership) -> None:
    prepared = Prepared(Version.objects.all(), "number")
    assert prepared.first(10**20) is None  # before the SQL is made, and after
    _version(membership.project, "train", 1)
    assert prepared.first(1) is not None
    assert prepared.first(10**20) is None
    with pytest.raises(Refused, match="has no version"):
        find_version(membership.project, "train", 10**20)
    with pytest.raises(Refused, match="has no dataset"):
        find_version(membership.project, "other", 10**20)


def test_newest_versions_are_one_query_for_any_number_of_datasets(membership: Membership) -> None:
    project = membership.project
    for name, numbers in (("c", [1]), ("a", [1, 2, 5]), ("b", [3, 4])):
        for number in numbers:
            _version(project, name, number, membership.user)
    expected = [("a", 5, 3), ("b", 4, 2), ("c", 1, 1)]
    with CaptureQueriesContext(connection) as made:
        for found in (some_newest_versions(project, "", 10), list(newest_versions(project))):
            seen = [(one.dataset.name, one.number, one.version_count) for one in found]  # type: ignore[attr-defined]
            assert seen == expected
            assert {one.creator for one in found} == {membership.user}
    assert len(made.captured_queries) == 2
    assert [one.dataset.name for one in some_newest_versions(project, "a", 1)] == ["b"]
    Version.objects.get(dataset__project=project, dataset__name="a", number=5).delete()
    assert [one.number for one in some_newest_versions(project, "", 10)] == [2, 4, 1]


def test_a_list_of_versions_leaves_manifests_in_the_database(membership: Membership) -> None:
    _version(membership.project, "train", 1)
    [found] = versions_of(membership.project, "train")
    assert found.get_deferred_fields() == {"manifest"}
    assert bytes(found.manifest) == b"\x00manifest"


def test_datasets_are_listed_in_pages(server_address: str) -> None:
    account = new_account(server_address)
    project = Project.objects.get(pk=account.create_project(f"p{uuid4().hex}").id)
    for name in ("c", "a", "b"):
        _version(project, name, 1)
    stub = DatasetServiceStub(channel_with(server_address, account.token))
    pages: list[list[str]] = []
    token = ""
    while not pages or token:
        request = pb.ListDatasetsRequest(project_id=str(project.pk), page_size=2, page_token=token)
        answer = stub.ListDatasets(request)
        pages.append([one.name for one in answer.datasets])
        token = answer.next_page_token
    assert pages == [["a", "b"], ["c"]]
