"""The cookie that a browser is signed in by: the secret of a login token, like that of any other client.

So a browser's login is listed, ends, and is revoked as all logins are, and the database has its hash only.
"""

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.csrf import rotate_token

from bench_server.accounts import services
from bench_server.accounts.models import User

COOKIE_DAYS = 400
"""The longest that browsers keep a cookie; the token in it ends by its own rule."""

BROWSERS = {"Edg/": "Edge", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
SYSTEMS = {name: name for name in ("Android", "iPhone", "iPad", "Windows")} | {
    "Mac OS": "macOS",
    "Linux": "Linux",
}
"""What their names in requests hold, those that hold others' too first."""


def sign_in(request: HttpRequest, response: HttpResponseBase, user: User) -> None:
    """Make a login for this browser; the one it had before ends."""
    if before := secret_of(request):
        services.end_login(before)
    login = services.create_login(user, browser_name(request.headers.get("User-Agent", "")))
    response.set_cookie(
        settings.LOGIN_COOKIE_NAME,
        login.secret,
        max_age=COOKIE_DAYS * 24 * 3600,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    rotate_token(request)


def forget(response: HttpResponseBase) -> None:
    """Have the browser remove its cookie."""
    response.delete_cookie(settings.LOGIN_COOKIE_NAME, samesite="Lax")


def secret_of(request: HttpRequest) -> str:
    """The secret that a browser brings, or nothing."""
    return request.COOKIES.get(settings.LOGIN_COOKIE_NAME, "")


def browser_name(agent: str) -> str:
    """A browser's name for lists of logins, such as "Firefox on Linux"."""
    browser = next((name for sign, name in BROWSERS.items() if sign in agent), "Browser")
    system = next((name for sign, name in SYSTEMS.items() if sign in agent), "")
    return f"{browser} on {system}" if system else browser
