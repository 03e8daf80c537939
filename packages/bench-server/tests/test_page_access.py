"""For every page: whoever may not see it gets nothing. A page that is added without a rule fails here."""

import datetime
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from bench_server.access import Rule
from bench_server.accounts import services as accounts
from bench_server.accounts.models import Token, User
from bench_server.accounts.services import _create_token
from bench_server.datasets.models import Version
from bench_server.projects import services as projects
from bench_server.projects.models import Membership, Project
from bench_server.web.assets import assets
from bench_server.web.pages import METHODS, all_pages, page
from django.http import HttpResponse
from django.test import override_settings
from django.urls import URLPattern, path
from django.utils import timezone
from run_tools import new_run
from server_tools import new_project, new_user
from web_tools import Browser, make_version, text_of

OPEN = {"asset", "sign-in", "sign-in-link", "first-account", "invitation"}

PAGES = [
    pytest.param(found, method, id=f"{method}-{found.name}")
    for found in all_pages()
    for method in ("GET", "POST")
    if hasattr(found.callback.page, METHODS[method])  # type: ignore[attr-defined]
]


class Place:
    """A project with a dataset, whose names nobody else must see."""

    def __init__(self, root: Path) -> None:
        self.owner = new_user()
        self.project = new_project(self.owner)
        self.version = make_version(self.project, self.owner, root, [(0, {"a.txt": b"x"})], "unseen-cats")
        self.run = new_run(self.project, "unseen-run", datasets=(("unseen-cats", 1),))

    def names(self) -> list[str]:
        names = [self.project.name, "unseen-cats", self.owner.username, str(self.version.fingerprint)]
        return [*names, self.run.name]

    def is_unchanged(self) -> bool:
        assert self.project.memberships.count() >= 1
        assert Version.objects.filter(pk=self.version.pk).exists()
        [attempt] = self.run.attempts.all()
        assert attempt.stop_request_time is None
        return bool(Project.objects.filter(pk=self.project.pk).exists())


@pytest.fixture(scope="module")
def place(server_address: str, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place"))


def rule_of(found: URLPattern, method: str) -> Rule:
    rule: Rule = getattr(found.callback.page, METHODS[method]).rule  # type: ignore[attr-defined]
    return rule


def address_of(found: URLPattern, place: Place, project_id: str | None = None) -> str:
    from django.urls import reverse

    values: dict[str, Any] = {
        "project_id": project_id or place.project.pk,
        "dataset": "unseen-cats",
        "number": 1,
        "run_id": place.run.pk,
        "path": "output/seen.txt",
        "sample": 0,
        "place": 0,
        "digest": assets()["bench.css"].digest,
        "name": "bench.css",
    }
    names = found.pattern.converters
    return reverse(str(found.name), kwargs={name: values.get(name, uuid4()) for name in names})


def visit(browser: Browser, method: str, address: str) -> Any:
    return browser.get(address) if method == "GET" else browser.send(address, username="x", role="owner")


@pytest.mark.parametrize(("found", "method"), PAGES)
def test_every_page_has_a_rule_that_fits_its_address(found: URLPattern, method: str) -> None:
    rule = rule_of(found, method)
    assert (rule is Rule.OPEN) == (found.name in OPEN)
    assert rule.is_about_a_project == ("project_id" in found.pattern.converters)
    assert rule is not Rule.USER  # a browser has a login or nothing


def bad_secrets() -> dict[str, str]:
    user = new_user()
    revoked, expired = (accounts.create_login(user, name) for name in ("revoked", "expired"))
    revoked.token.delete()
    past = timezone.now() - datetime.timedelta(seconds=1)
    Token.objects.filter(pk=expired.token.pk).update(expire_time=past)
    closed = new_user()
    of_closed = accounts.create_login(closed, "closed")
    User.objects.filter(pk=closed.pk).update(is_active=False)
    return {
        "none": "",
        "nonsense": "nonsense",
        "unknown": "bench_u_" + "x" * 43,
        "revoked": revoked.secret,
        "expired": expired.secret,
        "of a closed account": of_closed.secret,
        "personal": accounts.create_personal_token(user, "script", None).secret,
        "of a run": _create_token(user, Token.Kind.RUN, "run", None).secret,
    }


@pytest.mark.parametrize(("found", "method"), PAGES)
def test_without_a_login_there_is_nothing(found: URLPattern, method: str, place: Place) -> None:
    if rule_of(found, method) is Rule.OPEN:
        return
    address = address_of(found, place)
    for what, secret in bad_secrets().items():
        response = visit(Browser().bring(secret), method, address)
        assert (response.status_code, response.content) == (303, b""), what
        assert response["Location"].startswith("/sign-in"), what
    assert place.is_unchanged()


@pytest.mark.parametrize(("found", "method"), PAGES)
def test_a_project_does_not_exist_for_strangers(found: URLPattern, method: str, place: Place) -> None:
    if not rule_of(found, method).is_about_a_project:
        return
    stranger, other = Browser(new_user()), str(uuid4())
    response = visit(stranger, method, address_of(found, place))
    absent = visit(stranger, method, address_of(found, place, other))
    assert (response.status_code, absent.status_code) == (404, 404)
    text = without_csrf(text_of(response))
    assert text == without_csrf(text_of(absent)).replace(other, str(place.project.pk))
    assert not [name for name in place.names() if name in text]
    assert place.is_unchanged()


@pytest.mark.parametrize(("found", "method"), PAGES)
def test_members_do_not_do_what_owners_do(found: URLPattern, method: str, place: Place) -> None:
    if rule_of(found, method) is not Rule.PROJECT_OWNER:
        return
    member = new_user()
    projects.set_member(place.project, member.username, Membership.Role.MEMBER)
    response = visit(Browser(member), method, address_of(found, place))
    assert response.status_code == 403
    assert "Only an owner of" in text_of(response)
    assert projects.membership(member, place.project.pk).role == Membership.Role.MEMBER
    assert place.is_unchanged()


@pytest.mark.parametrize(("found", "method"), PAGES)
def test_users_do_not_do_what_the_servers_owner_does(found: URLPattern, method: str, place: Place) -> None:
    if rule_of(found, method) is not Rule.SERVER_OWNER:
        return
    response = visit(Browser(new_user()), method, address_of(found, place))
    assert response.status_code == 403
    assert "Only the server&#x27;s owner" in text_of(response)


@pytest.mark.parametrize(("found", "method"), PAGES)
def test_forms_of_other_sites_are_refused(found: URLPattern, method: str, place: Place) -> None:
    if method == "GET":
        return
    response = Browser(place.owner).post(address_of(found, place), {"username": "x"})
    assert response.status_code == 403
    assert "This form is too old" in text_of(response)
    assert place.is_unchanged()


@pytest.mark.parametrize(("found", "method"), PAGES)
def test_other_methods_and_hosts_are_refused(found: URLPattern, method: str, place: Place) -> None:
    browser, address = Browser(place.owner), address_of(found, place)
    assert browser.put(address).status_code in (403, 405)
    response: Any = Browser(place.owner, HTTP_HOST="evil.example").get(address)
    assert response.status_code == 400
    assert not [name for name in place.names() if name in text_of(response)]


def test_one_without_a_rule_is_not_served() -> None:
    class Forgotten:
        def get(self) -> HttpResponse:
            return HttpResponse()

    with pytest.raises(AttributeError, match="rule"):
        page(Forgotten)
    with pytest.raises(AttributeError, match="neither"):
        page(object)


class Plain:
    """Addresses with a view that `page` did not make."""

    urlpatterns = (path("plain", lambda request: HttpResponse()),)


def test_nor_is_what_page_did_not_make() -> None:
    with override_settings(ROOT_URLCONF=Plain), pytest.raises(AttributeError, match="declares no rules"):
        all_pages()


def without_csrf(text: str) -> str:
    return re.sub('name="csrfmiddlewaretoken" value="[^"]+"', "", text)
