"""Secrets: kept encrypted, given to runs, and seen nowhere else."""

import logging
from typing import Any
from uuid import UUID

import pytest
from bench_protos.projects.v1 import projects_pb2
from bench_protos.runs.v1 import secrets_pb2 as pb
from bench_protos.runs.v1.secrets_pb2_grpc import SecretServiceStub
from bench_server.errors import ServerError
from bench_server.runs import secrets
from bench_server.runs.models import Run, Secret
from server_tools import channel_with, refusal
from test_runs import Trainer

PROJECT, USER = pb.SECRET_SCOPE_PROJECT, pb.SECRET_SCOPE_USER
VARIABLE, FILE = pb.SECRET_FORM_ENVIRONMENT, pb.SECRET_FORM_FILE
FIELD = ("INVALID_ARGUMENT", "FIELD_INVALID")


class Keeper(Trainer):
    """A member of a project, with its secrets."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.secrets = SecretServiceStub(channel_with(address, self.account.token))

    def set_request(self, name: str, value: bytes, scope: Any = PROJECT, form: Any = VARIABLE) -> Any:
        return pb.SetSecretRequest(project_id=self.id, name=name, scope=scope, form=form, value=value)

    def set(self, name: str, value: bytes, scope: Any = PROJECT, form: Any = VARIABLE) -> pb.Secret:
        return self.secrets.SetSecret(self.set_request(name, value, scope, form)).secret

    def listed(self) -> list[tuple[str, Any, Any]]:
        found = self.secrets.ListSecrets(pb.ListSecretsRequest(project_id=self.id)).secrets
        return [(secret.name, secret.scope, secret.form) for secret in found]

    def given(self) -> secrets.Given:
        return secrets.secrets_for(Run.objects.get(pk=self.submit().run_id))


@pytest.fixture
def keeper(server_address: str) -> Keeper:
    return Keeper(server_address)


def test_a_users_own_come_before_the_projects(keeper: Keeper) -> None:
    keeper.set("TOKEN", b"project's")
    keeper.set("KEY", b"\0key", form=FILE)
    keeper.set("BOTH", b"file", form=FILE)
    keeper.set("BOTH", b"variable", USER)
    made = keeper.set("TOKEN", b"old", USER)
    keeper.set("TOKEN", "größer".encode(), USER)
    assert made.HasField("update_time")
    given = keeper.given()
    assert given.environment == {"TOKEN": "größer", "BOTH": "variable"}
    assert given.files == {"KEY": b"\0key"}
    assert keeper.listed() == [
        ("BOTH", PROJECT, FILE),
        ("BOTH", USER, VARIABLE),
        ("KEY", PROJECT, FILE),
        ("TOKEN", PROJECT, VARIABLE),
        ("TOKEN", USER, VARIABLE),
    ]
    delete = pb.DeleteSecretRequest(project_id=keeper.id, name="TOKEN", scope=USER)
    keeper.secrets.DeleteSecret(delete)
    assert keeper.given().environment["TOKEN"] == "project's"
    not_found = ("NOT_FOUND", "SECRET_NOT_FOUND")
    assert refusal(keeper.secrets.DeleteSecret, delete) == not_found
    delete.name = "\0"
    assert refusal(keeper.secrets.DeleteSecret, delete) == not_found
    assert refusal(keeper.secrets.DeleteSecret, pb.DeleteSecretRequest(project_id=keeper.id)) == FIELD


def test_lists_are_paged(keeper: Keeper) -> None:
    for name in "ABC":
        keeper.set(name, b"x", USER)
    request = pb.ListSecretsRequest(project_id=keeper.id, page_size=2)
    first = keeper.secrets.ListSecrets(request)
    request.page_token = first.next_page_token
    second = keeper.secrets.ListSecrets(request)
    assert [secret.name for secret in [*first.secrets, *second.secrets]] == ["A", "B", "C"]
    assert second.next_page_token == ""


def test_others_get_the_projects_alone(keeper: Keeper) -> None:
    member = Keeper(keeper.address)
    own_project = member.id
    role = projects_pb2.ROLE_MEMBER
    keeper.account.projects.SetMember(
        projects_pb2.SetMemberRequest(project_id=keeper.id, username=member.account.username, role=role)
    )
    keeper.set("SHARED", b"1")
    keeper.set("OWN", b"2", USER)
    member.id = keeper.id
    member.digest = keeper.digest
    assert member.listed() == [("SHARED", PROJECT, VARIABLE)]
    assert member.given().environment == {"SHARED": "1"}
    member.id = own_project
    member.digest = member.upload(b"")
    assert member.listed() == []


def test_what_cannot_be_a_secret(keeper: Keeper) -> None:
    for name in ("", "1X", "A-B", "BENCH_TOKEN", "x" * 101, "A\n", "Ä"):
        assert refusal(keeper.secrets.SetSecret, keeper.set_request(name, b"x")) == FIELD
    for value in (b"", b"x" * ((64 << 10) + 1), b"\xff", b"a\0b"):
        assert refusal(keeper.secrets.SetSecret, keeper.set_request("X", value)) == FIELD
    for scope, form in ((0, VARIABLE), (PROJECT, 0), (3, VARIABLE), (PROJECT, 3)):
        assert refusal(keeper.secrets.SetSecret, keeper.set_request("X", b"x", scope, form)) == FIELD
    assert keeper.listed() == []


def test_values_are_seen_nowhere(
    keeper: Keeper, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.conf import settings

    value = b"hunter2-hunter2"
    with caplog.at_level(logging.DEBUG):
        keeper.set("PASSWORD", value)
        row = Secret.objects.get(project=UUID(keeper.id))
        assert value not in bytes(row.encrypted)
        assert "hunter2" not in repr(row) + str(row) + repr(keeper.given())
        monkeypatch.setattr(secrets, "MAX_SECRETS", 0)
        assert refusal(keeper.secrets.SetSecret, keeper.set_request("P2", value)) == FIELD
    assert "hunter2" not in caplog.text
    key = settings.FOLDER.secrets_key
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_bytes() not in bytes(row.encrypted)


def test_a_lost_key_is_said(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.fernet import Fernet

    keeper.set("PASSWORD", b"x")
    monkeypatch.setattr(secrets, "_cipher", lambda: Fernet(Fernet.generate_key()))
    with pytest.raises(ServerError, match="PASSWORD was encrypted with another key"):
        keeper.given()
