"""Pages that say what went wrong."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from bench_server.errors import Refused

HTTP_STATUS = {
    "UNAUTHENTICATED": 401,
    "INVALID_ARGUMENT": 400,
    "OUT_OF_RANGE": 400,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "FAILED_PRECONDITION": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
}
"""What a refusal's status is called in HTTP."""

TITLES = {400: "That will not do", 403: "Not yours to do", 404: "Not here", 409: "Not now", 429: "Too often"}


def refused(request: HttpRequest, refusal: Refused) -> HttpResponse:
    """A page for a refusal."""
    status = HTTP_STATUS[refusal.status]
    return _page(request, status, refusal.message, refusal.hint or "")


def failed(request: HttpRequest, incident: str = "") -> HttpResponse:
    """A page for a failure of the server's own."""
    hint = f"The server's log says more under {incident}." if incident else ""
    return _page(request, 500, "The server failed at this page.", hint)


def forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A page for a form that did not come from a page of this server, or from one that is too old."""
    return _page(
        request, 403, "This form is too old, or is not one of this server's.", "Load the page again."
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A page for an address that is none."""
    return _page(request, 404, "There is no such page.", "")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A page for a request that cannot be read, or that names another host."""
    return _page(request, 400, "This request cannot be answered.", "Is the address right?")


def _page(request: HttpRequest, status: int, message: str, hint: str) -> HttpResponse:
    context = {"title": TITLES.get(status, "Something broke"), "message": message, "hint": hint}
    return render(request, "web/error.html", {**context, "status": status}, status=status)
