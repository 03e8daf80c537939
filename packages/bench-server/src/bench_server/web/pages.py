"""One page: who visits it, whether they may (access.py), and what a failure looks like in a browser.

A page is a class with a method `get`, `post` or both; each declares its rule, as the calls do.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render, resolve_url
from django.urls import URLPattern, get_resolver
from django.utils.http import urlencode

from bench_server.access import Caller, Rule, admit
from bench_server.accounts import services as accounts
from bench_server.accounts.models import Token
from bench_server.errors import Refused
from bench_server.web import cookies, errors

logger = logging.getLogger("bench_server.web")

METHODS = {"GET": "get", "HEAD": "get", "POST": "post"}

ROWS = 50
"""Of a list on one page."""

Row = TypeVar("Row", bound=Model)
Item = TypeVar("Item")
Serve = Callable[..., HttpResponseBase]


def page(kind: type) -> Serve:
    """A page, ready to be served.

    Args:
        kind: Its class. Each method takes the request, the caller, and what the address names.

    Raises:
        AttributeError: It has no method, or one has no rule.
    """
    served = kind()
    methods = {name: getattr(served, method) for name, method in METHODS.items() if hasattr(served, method)}
    rules = {name: method.rule for name, method in methods.items()}
    if not methods:
        raise AttributeError(f"{kind.__name__} serves neither GET nor POST")

    def serve(request: HttpRequest, **place: Any) -> HttpResponseBase:
        method = methods.get(request.method or "")
        if method is None:
            return HttpResponseNotAllowed(methods)
        try:
            admit_again = partial(
                _admit, rules[request.method or ""], request, str(place.pop("project_id", ""))
            )
            request.admit_again = admit_again  # type: ignore[attr-defined]
            caller = admit_again()
            return method(request, caller, **place)  # type: ignore[no-any-return]
        except Refused as refused:
            return _refusal(request, refused)
        except Exception as error:
            incident = str(uuid4())
            logger.error("incident %s", incident, exc_info=error)
            return errors.failed(request, incident)

    serve.page = kind  # type: ignore[attr-defined]
    return serve


def all_pages() -> list[URLPattern]:
    """Every address that is served.

    Raises:
        AttributeError: What is there was not made by `page`, so that it has no rules.
    """
    patterns = [pattern for pattern in get_resolver().url_patterns if isinstance(pattern, URLPattern)]
    for pattern in get_resolver().url_patterns:
        if pattern not in patterns or not hasattr(pattern.callback, "page"):
            raise AttributeError(f"{pattern} declares no rules")
    return patterns


def show(request: HttpRequest, template: str, refused: Refused | None = None, **context: Any) -> HttpResponse:
    """An answer made by a template.

    Args:
        request: What is answered.
        template: Its name.
        refused: What was wrong with the form that was sent; the template shows it, and the values again.
        context: For the template.
    """
    status = errors.HTTP_STATUS[refused.status] if refused else 200
    values: Mapping[str, Any] = request.POST if refused else {}
    response = render(request, template, {"refused": refused, "values": values, **context}, status=status)
    if refused and (seconds := refused.metadata.get("retry_after_seconds")):
        response["Retry-After"] = seconds
    return response


def visitor(request: HttpRequest) -> dict[str, Any]:
    """For every template: the token of who is signed in, or None; and the name of the page."""
    here = request.resolver_match.url_name if request.resolver_match else ""
    return {"login": getattr(request, "login", None), "here": here}


def page_of(request: HttpRequest, rows: QuerySet[Row]) -> "Page[Row]":
    """The part of a list that the address's `page` asks for."""
    return Paginator(rows, ROWS).get_page(request.GET.get("page"))


def part_of(request: HttpRequest, rows: Sequence[Item]) -> "Page[Item]":
    """The same for a list that is no query's."""
    return Paginator(rows, ROWS).get_page(request.GET.get("page"))


def go(to: Any, *arguments: Any) -> HttpResponseRedirect:
    """Send the browser to a page, after a form was taken."""
    response = HttpResponseRedirect(resolve_url(to, *arguments))
    response.status_code = 303
    return response


def _admit(rule: Rule, request: HttpRequest, project_id: str) -> Caller:
    address = str(request.META["REMOTE_ADDR"]).removeprefix("::ffff:")
    secret = cookies.secret_of(request)
    try:
        if not secret:
            raise Refused("TOKEN_MISSING", "nobody is signed in", hint="Sign in.")
        token = accounts.find_token(secret)
        if token.kind != Token.Kind.LOGIN:
            raise Refused("TOKEN_INVALID", "this token is no login", hint="Sign in.")
    except Refused:
        if rule is Rule.OPEN:
            return Caller(address)
        raise
    request.login = token  # type: ignore[attr-defined]
    if rule is Rule.OPEN:
        return Caller(address, token)
    return admit(rule, address, token, project_id)


def _refusal(request: HttpRequest, refused: Refused) -> HttpResponseBase:
    if refused.status != "UNAUTHENTICATED":
        return errors.refused(request, refused)
    if refused.reason != "TOKEN_MISSING":
        messages.info(request, "Your sign-in has ended. Sign in again.")
    query = urlencode({"next": request.get_full_path()})
    after = f"?{query}" if request.method == "GET" and request.path != "/" else ""
    response = go(resolve_url("sign-in") + after)
    cookies.forget(response)
    return response
