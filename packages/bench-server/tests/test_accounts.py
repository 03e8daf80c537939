"""bench.auth.v1, as a client sees it."""

import datetime
import errno
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bench_protos.auth.v1 import auth_pb2 as pb
from bench_server.accounts import services
from bench_server.accounts.hashing import HASHED_AT_ONCE
from bench_server.accounts.models import User
from bench_server.runs import attempt_tokens
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import OperationalError
from google.protobuf.timestamp_pb2 import Timestamp
from run_tools import new_run
from server_tools import PASSWORD, Account, account_with, new_account, new_project, open_stub, refusal


@pytest.fixture
def account(server_address: str) -> Account:
    return new_account(server_address)


def log_in(address: str, username: str, password: str = PASSWORD) -> Account:
    request = pb.LoginRequest(username=username, password=password, token_name="laptop")
    return account_with(address, username, open_stub(address).Login(request).token)


def test_login_gives_a_token_that_works(server_address: str, account: Account) -> None:
    found = log_in(server_address, account.username)
    assert found.token.startswith("bench_u_")
    answer = found.auth.GetCurrentUser(pb.GetCurrentUserRequest())
    assert (answer.user.username, answer.user.is_owner) == (account.username, False)
    assert (answer.token_info.name, answer.token_info.kind) == ("laptop", pb.TOKEN_KIND_LOGIN)
    life = answer.token_info.expire_time.ToDatetime() - answer.token_info.last_use_time.ToDatetime()
    assert life == datetime.timedelta(days=30)


def test_a_wrong_password_and_an_unknown_name_look_alike(server_address: str, account: Account) -> None:
    stub = open_stub(server_address)
    failed = ("UNAUTHENTICATED", "LOGIN_FAILED")
    assert refusal(stub.Login, pb.LoginRequest(username=account.username, password="wrong")) == failed
    assert refusal(stub.Login, pb.LoginRequest(username="nobody at all", password="wrong")) == failed


def test_attempts_are_limited(server_address: str, account: Account) -> None:
    from axes.utils import reset

    stub = open_stub(server_address)
    wrong = pb.LoginRequest(username=account.username, password="wrong")
    reasons = {refusal(stub.Login, wrong)[1] for _ in range(9)}
    assert reasons == {"LOGIN_FAILED"}
    refusal(stub.Login, wrong)
    locked = ("RESOURCE_EXHAUSTED", "TOO_MANY_ATTEMPTS")
    right = pb.LoginRequest(username=account.username, password=PASSWORD)
    assert refusal(stub.Login, right) == locked
    change = pb.ChangePasswordRequest(current_password=PASSWORD, new_password="another long one")
    assert refusal(account.auth.ChangePassword, change) == locked
    reset()
    assert stub.Login(right).token


def test_logout_ends_this_token_only(server_address: str, account: Account) -> None:
    other = log_in(server_address, account.username)
    account.auth.Logout(pb.LogoutRequest())
    request = pb.GetCurrentUserRequest()
    assert refusal(account.auth.GetCurrentUser, request) == ("UNAUTHENTICATED", "TOKEN_INVALID")
    assert other.auth.GetCurrentUser(request).user.username == account.username


def test_a_new_password_ends_the_other_logins(server_address: str, account: Account) -> None:
    other = log_in(server_address, account.username)
    personal = account.auth.CreateToken(pb.CreateTokenRequest(name="script")).token
    wrong = pb.ChangePasswordRequest(current_password="wrong", new_password="another long one")
    assert refusal(account.auth.ChangePassword, wrong) == ("PERMISSION_DENIED", "PASSWORD_WRONG")
    easy = pb.ChangePasswordRequest(current_password=PASSWORD, new_password="password")
    assert refusal(account.auth.ChangePassword, easy) == ("INVALID_ARGUMENT", "FIELD_INVALID")
    account.auth.ChangePassword(
        pb.ChangePasswordRequest(current_password=PASSWORD, new_password="another long one")
    )
    request = pb.GetCurrentUserRequest()
    assert account.auth.GetCurrentUser(request).user.username == account.username
    assert refusal(other.auth.GetCurrentUser, request) == ("UNAUTHENTICATED", "TOKEN_INVALID")
    assert account_with(server_address, "", personal).auth.GetCurrentUser(request).user
    login = pb.LoginRequest(username=account.username, password=PASSWORD)
    assert refusal(open_stub(server_address).Login, login)[1] == "LOGIN_FAILED"
    assert log_in(server_address, account.username, "another long one").token


def test_personal_tokens(server_address: str, account: Account) -> None:
    end = Timestamp()
    end.FromDatetime(datetime.datetime(2999, 1, 1))
    made = account.auth.CreateToken(pb.CreateTokenRequest(name="ci", expire_time=end))
    assert made.token.startswith("bench_p_")
    assert made.token_info.expire_time == end
    assert refusal(account.auth.CreateToken, pb.CreateTokenRequest(name="ci"))[1] == "TOKEN_NAME_TAKEN"
    assert refusal(account.auth.CreateToken, pb.CreateTokenRequest(name=""))[1] == "FIELD_INVALID"
    past = pb.CreateTokenRequest(name="past", expire_time=Timestamp(seconds=1))
    assert refusal(account.auth.CreateToken, past)[1] == "FIELD_INVALID"
    forever = account.auth.CreateToken(pb.CreateTokenRequest(name="forever")).token_info
    assert not forever.HasField("expire_time")

    names = [token.name for token in account.auth.ListTokens(pb.ListTokensRequest()).tokens]
    assert names == ["forever", "ci", "test"]
    account.auth.RevokeToken(pb.RevokeTokenRequest(token_id=made.token_info.id))
    gone = ("NOT_FOUND", "TOKEN_NOT_FOUND")
    assert refusal(account.auth.RevokeToken, pb.RevokeTokenRequest(token_id=made.token_info.id)) == gone
    stranger = new_account(server_address)
    assert refusal(stranger.auth.RevokeToken, pb.RevokeTokenRequest(token_id=forever.id)) == gone


def test_tokens_of_attempts_are_no_tokens_of_their_user(account: Account) -> None:
    user = User.objects.get(username=account.username)
    of_attempt = attempt_tokens.make(new_run(new_project(user)).last_attempt)
    names = [token.name for token in account.auth.ListTokens(pb.ListTokensRequest()).tokens]
    assert names == ["test"]
    made = services.find_token(of_attempt)
    assert refusal(account.auth.RevokeToken, pb.RevokeTokenRequest(token_id=str(made.pk))) == (
        "NOT_FOUND",
        "TOKEN_NOT_FOUND",
    )
    assert services.find_token(of_attempt) == made


def test_lists_come_in_pages(account: Account) -> None:
    for number in range(6):
        account.auth.CreateToken(pb.CreateTokenRequest(name=f"token{number}"))
    names, following, sizes = [], "", []
    while True:
        answer = account.auth.ListTokens(pb.ListTokensRequest(page_size=3, page_token=following))
        names += [token.name for token in answer.tokens]
        sizes.append(len(answer.tokens))
        following = answer.next_page_token
        if not following:
            break
        account.auth.CreateToken(pb.CreateTokenRequest(name=f"new{len(sizes)}"))  # does not shift the pages
    assert (names, sizes) == (["token5", "token4", "token3", "token2", "token1", "token0", "test"], [3, 3, 1])
    bad = [
        pb.ListTokensRequest(page_size=-1),
        pb.ListTokensRequest(page_token="%"),
        pb.ListTokensRequest(page_token="eA=="),
    ]
    assert [refusal(account.auth.ListTokens, request)[1] for request in bad] == ["FIELD_INVALID"] * 3


def test_an_invitation_makes_one_account(server_address: str) -> None:
    from bench_server.accounts.models import Invitation
    from bench_server.accounts.services import create_invitation
    from django.utils import timezone

    stub = open_stub(server_address)
    secret, _ = create_invitation()
    taken = new_account(server_address).username

    def request(
        username: str, password: str = PASSWORD, invitation: str = secret
    ) -> pb.AcceptInvitationRequest:
        return pb.AcceptInvitationRequest(invitation=invitation, username=username, password=password)

    assert refusal(stub.AcceptInvitation, request(taken)) == ("ALREADY_EXISTS", "USERNAME_TAKEN")
    assert refusal(stub.AcceptInvitation, request(taken.upper()))[1] == "USERNAME_TAKEN"
    assert refusal(stub.AcceptInvitation, request("grace hopper"))[1] == "FIELD_INVALID"
    assert refusal(stub.AcceptInvitation, request("grace", "12345678"))[1] == "FIELD_INVALID"
    answer = stub.AcceptInvitation(request("grace"))
    assert (
        account_with(server_address, "grace", answer.token)
        .auth.GetCurrentUser(pb.GetCurrentUserRequest())
        .user
    )
    invalid = ("NOT_FOUND", "INVITATION_INVALID")
    assert refusal(stub.AcceptInvitation, request("second")) == invalid
    assert refusal(stub.AcceptInvitation, request("second", invitation="bench_i_unknown")) == invalid
    old, invitation = create_invitation()
    Invitation.objects.filter(pk=invitation.pk).update(expire_time=timezone.now())
    assert refusal(stub.AcceptInvitation, request("second", invitation=old)) == invalid


def test_few_passwords_are_hashed_at_once(
    server_address: str, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most = [0], [0]
    real: Any = vars(Argon2PasswordHasher)["verify"]

    def counted(*args: Any, **kwargs: Any) -> Any:
        running[0] += 1
        most[0] = max(most[0], running[0])
        try:
            return real(*args, **kwargs)
        finally:
            running[0] -= 1

    monkeypatch.setattr(Argon2PasswordHasher, "verify", counted)
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: log_in(server_address, account.username), range(16)))
    assert 1 < most[0] <= HASHED_AT_ONCE


def test_only_hashes_are_kept(server_address: str, account: Account) -> None:
    from bench_server.accounts.models import Token, User

    found = User.objects.get(username=account.username)
    assert found.password.startswith("argon2$argon2id$")
    assert all(account.token.encode() not in bytes(token.secret_hash) for token in Token.objects.all())


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OperationalError("database or disk is full"),  # SQLite
        OperationalError('could not extend file "base/1/2": No space left on device'),  # PostgreSQL
    ],
)
def test_a_full_disk_is_told_from_a_failure_of_ours(
    server_address: str, account: Account, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:

    def fail(secret: str) -> None:
        raise failure

    monkeypatch.setattr(services, "find_token", fail)
    answer = refusal(account.auth.GetCurrentUser, pb.GetCurrentUserRequest())
    assert answer == ("RESOURCE_EXHAUSTED", "DISK_FULL")


def test_a_failure_of_ours_says_nothing_but_where_to_look(
    server_address: str, account: Account, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:

    def fail(secret: str) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(services, "find_token", fail)
    assert refusal(account.auth.GetCurrentUser, pb.GetCurrentUserRequest()) == ("INTERNAL", "INTERNAL_ERROR")
    assert "the secret of the house" in caplog.text
