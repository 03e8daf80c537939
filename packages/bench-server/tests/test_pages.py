"""Pages as their visitor sees them: what each does when it may."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from bench_protos.auth.v1 import auth_pb2 as pb
from bench_server.accounts import services as accounts
from bench_server.accounts.models import Invitation, Token, User, WebLogin
from bench_server.datasets.models import Dataset
from bench_server.errors import STATUS
from bench_server.projects import services as projects
from bench_server.projects.models import Membership, Project
from bench_server.web.cookies import browser_name
from bench_server.web.errors import HTTP_STATUS
from bench_server.web.pages import ROWS
from bench_server.web.templatetags.bench import size
from django.conf import settings
from django.utils import timezone
from server_tools import PASSWORD, account_with, new_project, new_user, refusal
from web_tools import Browser, make_version, text_of

NEW_PASSWORD = "another long one"


@pytest.fixture
def user(server_address: str) -> User:
    return new_user()


@pytest.fixture
def browser(user: User) -> Browser:
    return Browser(user)


@pytest.fixture
def owner_of_server(server_address: str) -> Any:
    found = User.objects.filter(is_owner=True).first() or new_user()
    User.objects.filter(pk=found.pk).update(is_owner=True)
    return Browser(found)


def follow(browser: Browser, response: Any) -> str:
    assert response.status_code == 303, text_of(response)
    return text_of(browser.get(response["Location"]))


def secret_in(browser: Browser) -> str:
    return browser.cookies[settings.LOGIN_COOKIE_NAME].value


def test_sign_in_and_out(user: User) -> None:
    browser = Browser(
        HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    )
    asked: Any = browser.get("/account/tokens")
    assert asked["Location"] == "/sign-in?next=%2Faccount%2Ftokens"
    assert 'name="next" value="/account/tokens"' in text_of(browser.get(asked["Location"]))
    answer: Any = browser.send("/sign-in", username=user.username, password=PASSWORD, next="/account/tokens")
    assert answer["Location"] == "/account/tokens"
    cookie = browser.cookies[settings.LOGIN_COOKIE_NAME]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"]) == (
        True,
        "Lax",
        "/",
        "",
    )
    token = accounts.find_token(cookie.value)
    assert (token.user, token.kind, token.name) == (user, Token.Kind.LOGIN, "Firefox on Linux")
    assert "this browser" in text_of(browser.get("/account/tokens"))
    assert "You are signed out" in follow(browser, browser.send("/sign-out"))
    assert browser.get("/").status_code == 303
    assert not Token.objects.filter(pk=token.pk).exists()


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_signing_in_leads_nowhere_else(user: User, to: str) -> None:
    answer: Any = Browser().send("/sign-in", username=user.username, password=PASSWORD, next=to)
    assert answer["Location"] == "/"


def test_a_wrong_password_and_too_many(user: User) -> None:
    browser = Browser()
    wrong: Any = browser.send("/sign-in", username=user.username, password="wrong")
    assert wrong.status_code == 401
    assert "Wrong name or password" in text_of(wrong)
    assert f'value="{user.username}"' in text_of(wrong)
    for _ in range(9):
        last: Any = browser.send("/sign-in", username=user.username, password="wrong")
    last = browser.send("/sign-in", username=user.username, password=PASSWORD)
    assert (last.status_code, last["Retry-After"]) == (429, "300")
    assert "Too many attempts" in text_of(last)
    from axes.utils import reset

    reset()


def test_a_login_forgets_the_failures_before(user: User) -> None:
    browser = Browser()
    for _ in range(2):
        for _ in range(8):
            assert browser.send("/sign-in", username=user.username, password="wrong").status_code == 401
        assert browser.send("/sign-in", username=user.username, password=PASSWORD).status_code == 303


def test_signing_in_again_ends_the_login_before(user: User, browser: Browser) -> None:
    before = secret_in(browser)
    browser.send("/sign-in", username=user.username, password=PASSWORD)
    assert secret_in(browser) != before
    assert not Token.objects.filter(name="test", user=user).exists()


def test_a_link_signs_in_once(server_address: str, user: User) -> None:
    account = account_with(server_address, user.username, accounts.create_login(user, "laptop").secret)
    made = account.auth.CreateWebLogin(pb.CreateWebLoginRequest(path="/account/tokens"))
    link = urlsplit(made.url)
    assert (link.path, link.query) == ("/sign-in/link", "next=%2Faccount%2Ftokens")
    life = made.expire_time.ToDatetime(tzinfo=timezone.get_current_timezone()) - timezone.now()
    assert timedelta(seconds=55) < life <= timedelta(seconds=60)
    browser = Browser()
    page = text_of(browser.get(f"{link.path}?{link.query}"))
    assert 'name="next" value="/account/tokens"' in page
    assert "data-from-fragment" in page
    answer: Any = browser.send(link.path, secret=link.fragment, next="/account/tokens")
    assert answer["Location"] == "/account/tokens"
    assert accounts.find_token(secret_in(browser)).user == user
    again: Any = Browser().send(link.path, secret=link.fragment)
    assert (again.status_code, "was used, or has ended" in text_of(again)) == (401, True)


def test_a_link_ends_and_takes_pages_only(server_address: str, user: User) -> None:
    account = account_with(server_address, user.username, accounts.create_login(user, "laptop").secret)
    secret = urlsplit(account.auth.CreateWebLogin(pb.CreateWebLoginRequest()).url).fragment
    WebLogin.objects.filter(user=user).update(expire_time=timezone.now())
    assert Browser().send("/sign-in/link", secret=secret).status_code == 401
    for path in ("https://evil.example", "//evil.example", "projects"):
        found = refusal(account.auth.CreateWebLogin, pb.CreateWebLoginRequest(path=path))
        assert found == ("INVALID_ARGUMENT", "FIELD_INVALID")
    closed, _ = accounts.create_web_login(user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert Browser().send("/sign-in/link", secret=closed).status_code == 401


def test_invitations(owner_of_server: Browser) -> None:
    assert "No open invitations" in text_of(owner_of_server.get("/invitations"))
    made = text_of(owner_of_server.send("/invitations"))
    link = re.search(r'<code id="secret">([^<]+)</code>', made)
    assert link is not None
    address = urlsplit(link[1])
    assert address.path == "/invitation"
    guest = Browser()
    fields = {"secret": address.fragment, "username": f"guest-{address.fragment[-8:]}", "password": PASSWORD}
    differ: Any = guest.send("/invitation", **fields, again="other")
    assert (differ.status_code, "the two passwords differ" in text_of(differ)) == (400, True)
    taken: Any = guest.send("/invitation", **{**fields, "username": new_user().username}, again=PASSWORD)
    assert (taken.status_code, "There is a user" in text_of(taken)) == (409, True)
    assert "No projects yet" in follow(guest, guest.send("/invitation", **fields, again=PASSWORD))
    used: Any = Browser().send("/invitation", **fields, again=PASSWORD)
    assert (used.status_code, "was used, or has ended" in text_of(used)) == (404, True)
    assert "No open invitations" in text_of(owner_of_server.get("/invitations"))


def test_an_invitation_is_revoked(owner_of_server: Browser) -> None:
    secret, invitation = accounts.create_invitation()
    assert str(invitation.pk) in text_of(owner_of_server.get("/invitations"))
    answer = owner_of_server.send(f"/invitations/{invitation.pk}/revoke")
    assert "The invitation is revoked" in follow(owner_of_server, answer)
    assert not Invitation.objects.filter(pk=invitation.pk).exists()
    assert owner_of_server.send(f"/invitations/{invitation.pk}/revoke").status_code == 404
    fields = {"secret": secret, "username": "late", "password": PASSWORD, "again": PASSWORD}
    assert Browser().send("/invitation", **fields).status_code == 404


def test_a_new_password_ends_the_other_browsers(user: User, browser: Browser) -> None:
    other = Browser(user)
    easy: Any = browser.send("/account/password", current=PASSWORD, password="password", again="password")
    assert (easy.status_code, "too common" in text_of(easy)) == (400, True)
    wrong: Any = browser.send("/account/password", current="x", password=NEW_PASSWORD, again=NEW_PASSWORD)
    assert (wrong.status_code, "not the current password" in text_of(wrong)) == (403, True)
    answer = browser.send("/account/password", current=PASSWORD, password=NEW_PASSWORD, again=NEW_PASSWORD)
    assert "The password is changed" in follow(browser, answer)
    assert "Your sign-in has ended" in follow(other, other.get("/"))


def test_tokens(user: User, browser: Browser) -> None:
    made = text_of(browser.send("/account/tokens", name="nightly", expire_time="2031-02-03"))
    secret = re.search(r'<code id="secret">(bench_p_[^<]+)</code>', made)
    assert secret is not None
    token = accounts.find_token(secret[1])
    assert (token.user, token.name, f"{token.expire_time:%Y-%m-%d %H:%M}") == (
        user,
        "nightly",
        "2031-02-03 23:59",
    )
    listed = text_of(browser.get("/account/tokens"))
    assert secret[1] not in listed
    assert '<time datetime="2031-02-03T23:59:59Z">2031-02-03 23:59 UTC</time>' in listed
    for wrong, said in [
        ({"name": "nightly"}, "There is a token"),
        ({"name": ""}, "must have 1 to 100 characters"),
        ({"name": "x", "expire_time": "2001-01-01"}, "lies in the past"),
        ({"name": "x", "expire_time": "tomorrow"}, "is no date"),
    ]:
        answer: Any = browser.send("/account/tokens", **wrong)
        assert (answer.status_code in (400, 409), said in text_of(answer)) == (True, True), said
    assert "The token is revoked" in follow(browser, browser.send(f"/account/tokens/{token.pk}/revoke"))
    assert browser.send(f"/account/tokens/{token.pk}/revoke").status_code == 404
    foreign = accounts.create_login(new_user(), "foreign").token
    assert browser.send(f"/account/tokens/{foreign.pk}/revoke").status_code == 404
    assert Token.objects.filter(pk=foreign.pk).exists()


def test_projects(user: User, browser: Browser) -> None:
    assert "No projects yet" in text_of(browser.get("/"))
    form = re.search('name="request_id" value="([^"]+)"', text_of(browser.get("/projects/new")))
    assert form is not None
    first: Any = browser.send("/projects/new", name="Cats & dogs", request_id=form[1])
    assert (first.status_code, "must have 1 to 100 letters" in text_of(first)) == (400, True)
    made: Any = browser.send("/projects/new", name="catdog", request_id=form[1])
    again: Any = browser.send("/projects/new", name="catdog", request_id=form[1])
    assert made["Location"] == again["Location"]
    assert "No datasets yet" in follow(browser, made)
    other: Any = browser.send(
        "/projects/new", name="CatDog", request_id="00000000-0000-0000-0000-000000000000"
    )
    assert (other.status_code, "You made a project" in text_of(other)) == (409, True)
    assert ">catdog</a>" in text_of(browser.get("/"))


def test_members(user: User, browser: Browser) -> None:
    project, guest = new_project(user), new_user()
    address = f"/projects/{project.pk}/members"
    unknown: Any = browser.send(address, username="nobody at all")
    assert (unknown.status_code, "There is no user" in text_of(unknown)) == (404, True)
    answer = browser.send(address, username=guest.username, role="member")
    assert f"{guest.username} is member now" in follow(browser, answer)
    of_guest = Browser(guest)
    seen = text_of(of_guest.get(address))
    assert "Leave" in seen
    assert "Add a member" not in seen
    assert of_guest.send(f"{address}/remove", username=user.username).status_code == 403
    last: Any = browser.send(f"{address}/remove", username=user.username)
    assert (last.status_code, "is the only owner" in text_of(last)) == (409, True)
    follow(browser, browser.send(address, username=guest.username, role="owner"))
    assert projects.membership(guest, project.pk).role == Membership.Role.OWNER
    assert "You have left" in follow(browser, browser.send(f"{address}/remove", username=user.username))
    assert browser.get(address).status_code == 404
    assert "is no member any more" not in text_of(of_guest.get(address))


def test_a_project_is_deleted(user: User, browser: Browser, tmp_path: Path) -> None:
    project = new_project(user)
    make_version(project, user, tmp_path, [(1, {})])
    address = f"/projects/{project.pk}/delete"
    assert "1 dataset of" in text_of(browser.get(address))
    assert f"{project.name} is deleted" in follow(browser, browser.send(address))
    assert not Project.objects.filter(pk=project.pk).exists()


def test_datasets_and_versions(user: User, browser: Browser, tmp_path: Path) -> None:
    project = new_project(user)
    for count in (1, 2):
        make_version(project, user, tmp_path / str(count), [(number, {}) for number in range(count)])
    address = f"/projects/{project.pk}"
    Project.objects.filter(pk=project.pk).update(quota_bytes=1_000_000_000)
    page = text_of(browser.get(address))
    assert "version 2 <span" in page
    assert "of 1 GB" in page
    listed = text_of(browser.get(f"{address}/datasets/train"))
    assert re.findall(">(Version [0-9]+)<", listed) == ["Version 2", "Version 1"]
    assert "<code>int</code>" in listed
    assert "First 2 of 2 samples" in text_of(browser.get(f"{address}/datasets/train/2"))
    assert browser.get(f"{address}/datasets/other").status_code == 404
    for number in ("3", "99999999999999999999"):
        assert browser.get(f"{address}/datasets/train/{number}").status_code == 404
    assert browser.send(f"{address}/datasets/train/0/delete").status_code == 404
    assert "is the only version" not in text_of(browser.get(f"{address}/datasets/train/1/delete"))
    answer = browser.send(f"{address}/datasets/train/2/delete")
    assert "Version 2 of train is deleted" in follow(browser, answer)
    assert "It is the only version" in text_of(browser.get(f"{address}/datasets/train/1/delete"))
    follow(browser, browser.send(f"{address}/datasets/train/1/delete"))
    assert not Dataset.objects.filter(project=project).exists()


def test_long_lists_have_pages(user: User, browser: Browser) -> None:
    for number in range(ROWS + 1):
        accounts.create_personal_token(user, f"token {number:02}", None)
    first, second = (text_of(browser.get(f"/account/tokens?page={page}")) for page in (1, 2))
    assert "Page 1 of 2" in first
    assert ("token 50" in first, "token 00" in first) == (True, False)
    assert ("token 50" in second, "token 00" in second) == (False, True)
    assert text_of(browser.get("/account/tokens?page=nonsense")).count("Page 1 of 2") == 1


def test_errors_are_pages(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    absent = browser.get("/no/such/page")
    assert (absent.status_code, "There is no such page" in text_of(absent)) == (404, True)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(accounts, "live_tokens", fail)
    failed = browser.get("/account/tokens")
    incident = re.search("under ([0-9a-f-]{36})", text_of(failed))
    assert failed.status_code == 500
    assert "a secret" not in text_of(failed)
    assert incident is not None
    assert incident[1] in caplog.text
    assert set(HTTP_STATUS) == set(STATUS.values())


def test_every_answer_is_guarded(browser: Browser) -> None:
    for path in ("/", "/no/such/page", "/sign-in"):
        answer: Any = browser.get(path)
        policy = answer["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert (answer["X-Frame-Options"], answer["X-Content-Type-Options"]) == ("DENY", "nosniff")
        assert (answer["Referrer-Policy"], answer["Cache-Control"]) == ("same-origin", "no-store")
        assert not re.findall(r"<script>|<style|style=|onclick=", text_of(answer))


def test_assets_have_addresses_of_their_own(browser: Browser) -> None:
    found = re.findall(r'"(/assets/[^"]+)"', text_of(browser.get("/")))
    assert len(found) == 4
    for address in found:
        answer: Any = Browser().get(address)
        assert (answer.status_code, answer["Cache-Control"]) == (200, "public, max-age=31536000, immutable")
    assert Browser().get("/assets/0/bench.css").status_code == 404
    assert Browser().get(found[0].rpartition("/")[0] + "/settings.py").status_code == 404


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("(Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1.15", "Safari on macOS"),
        ("(Windows NT 10.0; Win64) Chrome/140 Safari/537.36 Edg/140", "Edge on Windows"),
        ("(Linux; Android 10; K) Chrome/140 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8", "Browser"),
        ("", "Browser"),
    ],
)
def test_browsers_have_names(agent: str, name: str) -> None:
    assert browser_name(agent) == name


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (999_600, "1 MB"),
        (2_340_000_000, "2.34 GB"),
        (10**17, "100 PB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text
