"""For every call: whoever may not make it gets nothing. A call that is added without a rule fails here."""

import datetime
from typing import Any
from uuid import uuid4

import grpc
import pytest
from bench_server.access import Rule
from bench_server.rpc.serving import ATTEMPT_SERVICES, SERVICES
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from run_tools import new_run
from server_tools import Account, channel_with, new_account, refusal

OPEN = {"GetServerInfo", "Login", "CreateOwner", "AcceptInvitation"}

METHODS = [
    pytest.param(kind, method, id=method.full_name)
    for kind, contract in [*SERVICES, *ATTEMPT_SERVICES]
    for method in contract.methods
]


@pytest.fixture(scope="module")
def owner(server_address: str) -> Account:
    return new_account(server_address)


@pytest.fixture(scope="module")
def project_id(owner: Account) -> str:
    return owner.create_project().id


@pytest.fixture
def address(kind: type, server_address: str, attempts_address: str) -> str:
    """Where a service is."""
    return attempts_address if kind in dict(ATTEMPT_SERVICES) else server_address


@pytest.fixture
def elsewhere(kind: type, server_address: str, attempts_address: str) -> str:
    """Where it is not."""
    return server_address if kind in dict(ATTEMPT_SERVICES) else attempts_address


def rule_of(kind: type, method: MethodDescriptor) -> Rule:
    rule: Rule = getattr(kind, method.name).rule
    return rule


def stub_of(address: str, method: MethodDescriptor, token: str | None) -> Any:
    channel: grpc.Channel = channel_with(address, token)
    name = f"/{method.containing_service.full_name}/{method.name}"
    serialize = GetMessageClass(method.input_type).SerializeToString
    parse = GetMessageClass(method.output_type).FromString
    return channel.unary_unary(name, serialize, parse)


def request_of(method: MethodDescriptor, project_id: str) -> Any:
    request = GetMessageClass(method.input_type)()
    if "project_id" in method.input_type.fields_by_name:
        request.project_id = project_id  # type: ignore[attr-defined]
    return request


@pytest.mark.parametrize(("kind", "method"), METHODS)
def test_every_call_has_a_rule_that_fits_its_request(kind: type, method: MethodDescriptor) -> None:
    rule = rule_of(kind, method)
    assert (rule is Rule.OPEN) == (method.name in OPEN)
    assert (rule is Rule.ATTEMPT) == (kind in dict(ATTEMPT_SERVICES))
    assert (rule in (Rule.MEMBER, Rule.PROJECT_OWNER)) == ("project_id" in method.input_type.fields_by_name)


def bad_tokens(address: str) -> list[tuple[str | None, tuple[str, str]]]:
    from bench_server.accounts import services
    from bench_server.accounts.models import Token, User
    from django.utils import timezone

    user = User.objects.get(username=new_account(address).username)
    revoked = services.create_login(user, "revoked")
    revoked.token.delete()
    expired = services.create_login(user, "expired")
    past = timezone.now() - datetime.timedelta(seconds=1)
    Token.objects.filter(pk=expired.token.pk).update(expire_time=past)
    closed = new_account(address)
    User.objects.filter(username=closed.username).update(is_active=False)
    unknown = "bench_u_" + "x" * 43
    return [
        (None, ("UNAUTHENTICATED", "TOKEN_MISSING")),
        ("nonsense", ("UNAUTHENTICATED", "TOKEN_INVALID")),
        (unknown, ("UNAUTHENTICATED", "TOKEN_INVALID")),
        (revoked.secret, ("UNAUTHENTICATED", "TOKEN_INVALID")),
        (expired.secret, ("UNAUTHENTICATED", "TOKEN_EXPIRED")),
        (closed.token, ("UNAUTHENTICATED", "TOKEN_INVALID")),
    ]


@pytest.mark.parametrize(("kind", "method"), METHODS)
def test_without_a_good_token_there_is_nothing(
    kind: type, method: MethodDescriptor, address: str, server_address: str, project_id: str
) -> None:
    if rule_of(kind, method) is Rule.OPEN:
        return
    for token, expected in bad_tokens(server_address):
        found = refusal(stub_of(address, method, token), request_of(method, project_id))
        assert found == expected, token


@pytest.mark.parametrize(("kind", "method"), METHODS)
def test_a_project_does_not_exist_for_strangers(
    kind: type, method: MethodDescriptor, server_address: str, project_id: str
) -> None:
    if rule_of(kind, method) not in (Rule.MEMBER, Rule.PROJECT_OWNER):
        return
    stranger = new_account(server_address)
    stub = stub_of(server_address, method, stranger.token)
    not_there = ("NOT_FOUND", "PROJECT_NOT_FOUND")
    assert refusal(stub, request_of(method, project_id)) == not_there
    assert refusal(stub, request_of(method, str(uuid4()))) == not_there
    assert refusal(stub, request_of(method, "no uuid")) == ("INVALID_ARGUMENT", "FIELD_INVALID")


@pytest.mark.parametrize(("kind", "method"), METHODS)
def test_members_do_not_do_what_owners_do(
    kind: type, method: MethodDescriptor, server_address: str, owner: Account, project_id: str
) -> None:
    from bench_protos.projects.v1 import projects_pb2 as pb

    if rule_of(kind, method) is not Rule.PROJECT_OWNER:
        return
    member = new_account(server_address)
    role = pb.ROLE_MEMBER
    owner.projects.SetMember(pb.SetMemberRequest(project_id=project_id, username=member.username, role=role))
    stub = stub_of(server_address, method, member.token)
    assert refusal(stub, request_of(method, project_id)) == ("PERMISSION_DENIED", "OWNER_NEEDED")


@pytest.mark.parametrize(("kind", "method"), METHODS)
def test_tokens_that_are_no_login_do_not_do_what_logins_do(
    kind: type, method: MethodDescriptor, address: str, server_address: str, project_id: str
) -> None:
    from bench_server.accounts.models import User
    from bench_server.accounts.services import create_personal_token, create_run_token

    rule = rule_of(kind, method)
    if rule is Rule.OPEN:
        return
    account = new_account(server_address)
    user = User.objects.get(username=account.username)
    tokens, expected = [create_run_token(user, "of no attempt").secret], ("PERMISSION_DENIED", "LOGIN_NEEDED")
    if rule is Rule.LOGIN:
        tokens.append(create_personal_token(user, "script", None).secret)
    if rule is Rule.ATTEMPT:
        tokens += [account.token, create_personal_token(user, "script", None).secret]
        expected = ("UNAUTHENTICATED", "TOKEN_INVALID")
    for token in tokens:
        found = refusal(stub_of(address, method, token), request_of(method, project_id))
        assert found == expected


@pytest.fixture(scope="module")
def run_tokens(server_address: str) -> dict[str, tuple[str, bool]]:
    """A token at each stage of an attempt, and whether it is good."""
    from bench_server.runs import attempt_tokens, services
    from bench_server.runs.models import Attempt
    from bench_server.runs.states import State

    running, ended, followed, renewed = (new_run().last_attempt for _ in range(4))
    old = attempt_tokens.make(renewed)
    made = {attempt: attempt_tokens.make(attempt) for attempt in (running, ended, followed, renewed)}
    for attempt in (ended, followed):  # as if the token had outlived the end
        Attempt.objects.filter(pk=attempt.pk).update(state=State.FAILED.value)
    services.resume(followed.run, uuid4())
    Attempt.objects.filter(pk=followed.pk).update(state=State.RUNNING.value)
    return {
        "running": (made[running], True),
        "ended": (made[ended], False),
        "another one follows": (made[followed], False),
        "made again": (old, False),
        "the one made again": (made[renewed], True),
    }


@pytest.mark.parametrize(("kind", "method"), METHODS)
def test_tokens_of_attempts_open_what_is_theirs_and_nothing_else(
    kind: type,
    method: MethodDescriptor,
    address: str,
    project_id: str,
    run_tokens: dict[str, tuple[str, bool]],
) -> None:
    rule = rule_of(kind, method)
    if rule is Rule.OPEN:
        return
    for stage, (token, is_good) in run_tokens.items():
        found = refusal_of(stub_of(address, method, token), request_of(method, project_id))
        if rule is not Rule.ATTEMPT and stage != "made again":
            assert found == ("PERMISSION_DENIED", "LOGIN_NEEDED"), stage
        elif not is_good:
            assert found == ("UNAUTHENTICATED", "TOKEN_INVALID"), stage
        else:
            assert found in (None, ("INVALID_ARGUMENT", "FIELD_INVALID")), stage


def refusal_of(method: Any, request: Any) -> tuple[str, str] | None:
    try:
        method(request, timeout=60)
    except grpc.RpcError:
        return refusal(method, request)
    return None


@pytest.mark.parametrize(("kind", "method"), METHODS)
def test_no_socket_has_what_belongs_to_the_other(
    kind: type,
    method: MethodDescriptor,
    elsewhere: str,
    project_id: str,
    owner: Account,
    run_tokens: dict[str, tuple[str, bool]],
) -> None:
    for token in (owner.token, run_tokens["running"][0], None):
        with pytest.raises(grpc.RpcError) as caught:
            stub_of(elsewhere, method, token)(request_of(method, project_id), timeout=60)
        assert isinstance(caught.value, grpc.Call)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
