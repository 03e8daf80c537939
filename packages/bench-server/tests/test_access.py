"""For every call: whoever may not make it gets nothing. A call that is added without a rule fails here."""

import datetime
from typing import Any
from uuid import uuid4

import grpc
import pytest
from bench_server.access import Rule
from bench_server.rpc.serving import SERVICES
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from server_tools import Account, channel_with, new_account, refusal

OPEN = {"GetServerInfo", "Login", "CreateOwner", "AcceptInvitation"}

METHODS = [
    pytest.param(kind, method, id=method.full_name)
    for kind, contract in SERVICES
    for method in contract.methods
]


@pytest.fixture(scope="module")
def owner(server_address: str) -> Account:
    return new_account(server_address)


@pytest.fixture(scope="module")
def project_id(owner: Account) -> str:
    return owner.create_project().id


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
    kind: type, method: MethodDescriptor, server_address: str, project_id: str
) -> None:
    if rule_of(kind, method) is Rule.OPEN:
        return
    for token, expected in bad_tokens(server_address):
        found = refusal(stub_of(server_address, method, token), request_of(method, project_id))
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
    kind: type, method: MethodDescriptor, server_address: str, project_id: str
) -> None:
    from bench_server.accounts.models import Token, User
    from bench_server.accounts.services import _create_token, create_personal_token

    rule = rule_of(kind, method)
    if rule is Rule.OPEN:
        return
    user = User.objects.get(username=new_account(server_address).username)
    tokens = [_create_token(user, Token.Kind.RUN, "run", None).secret]
    if rule is Rule.LOGIN:
        tokens.append(create_personal_token(user, "script", None).secret)
    for token in tokens:
        found = refusal(stub_of(server_address, method, token), request_of(method, project_id))
        assert found == ("PERMISSION_DENIED", "LOGIN_NEEDED")
