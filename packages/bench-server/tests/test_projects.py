"""bench.projects.v1, as a client sees it."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from bench_protos.projects.v1 import projects_pb2 as pb
from server_tools import Account, new_account, refusal


@pytest.fixture
def ada(server_address: str) -> Account:
    return new_account(server_address)


@pytest.fixture
def bob(server_address: str) -> Account:
    return new_account(server_address)


def members(account: Account, project_id: str) -> list[tuple[str, int]]:
    answer = account.projects.ListMembers(pb.ListMembersRequest(project_id=project_id))
    return [(member.username, member.role) for member in answer.members]


def test_create_get_list_delete(ada: Account) -> None:
    made = ada.create_project("cat & dog".replace("&", "-"))
    assert (made.name, made.role, made.quota_bytes) == ("cat - dog", pb.ROLE_OWNER, 0)
    assert ada.projects.GetProject(pb.GetProjectRequest(project_id=made.id)).project == made
    second = ada.create_project("second")
    assert [p.id for p in ada.projects.ListProjects(pb.ListProjectsRequest()).projects] == [
        second.id,
        made.id,
    ]
    ada.projects.DeleteProject(pb.DeleteProjectRequest(project_id=made.id))
    gone = ("NOT_FOUND", "PROJECT_NOT_FOUND")
    assert refusal(ada.projects.GetProject, pb.GetProjectRequest(project_id=made.id)) == gone
    assert ada.create_project("cat - dog").id != made.id


def test_a_request_is_carried_out_once(ada: Account, bob: Account) -> None:
    request = pb.CreateProjectRequest(request_id=str(uuid4()), name="catdog")
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: ada.projects.CreateProject(request).project.id, range(8)))
    assert len(set(answers)) == 1
    assert bob.projects.CreateProject(request).project.id != answers[0]  # the id is the caller's own


@pytest.mark.parametrize("name", ["", " x", "a/b", "_x", "x" * 101, "a\n", "a\tb", "..", "-x", "😀"])
def test_names_that_will_not_do(ada: Account, name: str) -> None:
    request = pb.CreateProjectRequest(request_id=str(uuid4()), name=name)
    assert refusal(ada.projects.CreateProject, request) == ("INVALID_ARGUMENT", "FIELD_INVALID")


def test_names_of_any_script(ada: Account) -> None:
    assert ada.create_project("Cafe\u0301 déjà vu").name == "Café déjà vu"
    assert ada.create_project("猫と犬 2").name == "猫と犬 2"


def test_a_name_is_taken_for_its_creator_only(ada: Account, bob: Account) -> None:
    ada.create_project("CatDog")
    request = pb.CreateProjectRequest(request_id=str(uuid4()), name="catdog")
    assert refusal(ada.projects.CreateProject, request) == ("ALREADY_EXISTS", "PROJECT_NAME_TAKEN")
    assert bob.projects.CreateProject(request).project.name == "catdog"
    no_id = pb.CreateProjectRequest(name="other")
    assert refusal(ada.projects.CreateProject, no_id) == ("INVALID_ARGUMENT", "FIELD_INVALID")


def test_members(ada: Account, bob: Account) -> None:
    project_id = ada.create_project().id

    def set_member(by: Account, username: str, role: "pb.Role.ValueType") -> pb.SetMemberRequest:
        return pb.SetMemberRequest(project_id=project_id, username=username, role=role)

    ada.projects.SetMember(set_member(ada, bob.username.upper(), pb.ROLE_MEMBER))
    assert members(bob, project_id) == [(ada.username, pb.ROLE_OWNER), (bob.username, pb.ROLE_MEMBER)]
    role = bob.projects.GetProject(pb.GetProjectRequest(project_id=project_id)).project.role
    assert role == pb.ROLE_MEMBER
    last = ("FAILED_PRECONDITION", "LAST_OWNER")
    assert refusal(ada.projects.SetMember, set_member(ada, ada.username, pb.ROLE_MEMBER)) == last
    remove_ada = pb.RemoveMemberRequest(project_id=project_id, username=ada.username)
    assert refusal(bob.projects.RemoveMember, remove_ada) == ("PERMISSION_DENIED", "OWNER_NEEDED")
    assert refusal(ada.projects.RemoveMember, remove_ada) == last
    nobody = ("NOT_FOUND", "USER_NOT_FOUND")
    assert refusal(ada.projects.SetMember, set_member(ada, "nobody", pb.ROLE_MEMBER)) == nobody
    unset = set_member(ada, bob.username, pb.ROLE_UNSPECIFIED)
    assert refusal(ada.projects.SetMember, unset) == ("INVALID_ARGUMENT", "FIELD_INVALID")

    ada.projects.SetMember(set_member(ada, bob.username, pb.ROLE_OWNER))
    bob.projects.RemoveMember(remove_ada)
    assert members(bob, project_id) == [(bob.username, pb.ROLE_OWNER)]
    request = pb.GetProjectRequest(project_id=project_id)
    assert refusal(ada.projects.GetProject, request) == ("NOT_FOUND", "PROJECT_NOT_FOUND")
    stranger = pb.RemoveMemberRequest(project_id=project_id, username=ada.username)
    assert refusal(bob.projects.RemoveMember, stranger) == ("NOT_FOUND", "MEMBER_NOT_FOUND")


def test_a_member_may_leave(ada: Account, bob: Account) -> None:
    project_id = ada.create_project().id
    ada.projects.SetMember(
        pb.SetMemberRequest(project_id=project_id, username=bob.username, role=pb.ROLE_MEMBER)
    )
    bob.projects.RemoveMember(pb.RemoveMemberRequest(project_id=project_id, username=bob.username))
    assert members(ada, project_id) == [(ada.username, pb.ROLE_OWNER)]


def test_two_owners_cannot_leave_at_once(ada: Account, bob: Account) -> None:
    for _ in range(10):
        project_id = ada.create_project(f"p{uuid4().hex}").id
        role = pb.ROLE_OWNER
        ada.projects.SetMember(pb.SetMemberRequest(project_id=project_id, username=bob.username, role=role))

        def leave(account: Account, project_id: str = project_id) -> str:
            request = pb.RemoveMemberRequest(project_id=project_id, username=account.username)
            try:
                account.projects.RemoveMember(request)
            except Exception:
                return "refused"
            return "left"

        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(leave, (ada, bob))) == ["left", "refused"]
