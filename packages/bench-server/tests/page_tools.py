"""A web server in this process for tests with a browser, and who is signed in there."""

import contextlib
from collections.abc import Iterator

import pytest
from bench_server.accounts import services as accounts
from bench_server.accounts.models import User
from bench_server.web.serving import WebServer
from django.conf import settings
from free_ports import free_port
from playwright.sync_api import BrowserContext


@pytest.fixture(scope="module", autouse=True)
def beside_a_loop() -> Iterator[None]:
    """Playwright has an event loop in this thread, beside which Django would not ask its database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield


@pytest.fixture(scope="module")
def web(server_address: str) -> Iterator[str]:
    with served() as address:
        yield address


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The address of pages that are served until the block ends."""
    port = free_port()
    server = WebServer([f"127.0.0.1:{port}"])
    yield f"http://localhost:{port}"
    server.stop()


def be(context: BrowserContext, user: User, web: str) -> None:
    """Have a browser be signed in."""
    secret = accounts.create_login(user, "test").secret
    context.add_cookies([{"name": settings.LOGIN_COOKIE_NAME, "value": secret, "url": web}])
