"""A real browser, whose pages must not say anything in its console, as what the policy forbids would."""

import contextlib
import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

AWAY = "net::ERR_|status of 50[0-9]"
"""What a browser says of a server that is away."""

REFUSED = "status of 404"

expect.set_options(timeout=60_000)  # milliseconds, for a busy machine; 5 s unless set


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Chromium refuses to run as root with its sandbox, and containers that run tests have no other user.
        launched = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield launched
        launched.close()


@contextlib.contextmanager
def opened_page(browser: Browser, *, may_say: str = "") -> Iterator[Page]:
    """A page in a context of its own.

    Args:
        browser: Which.
        may_say: A pattern of what it may say.
    """
    said: list[str] = []
    context = browser.new_context()
    page = context.new_page()
    page.on("console", lambda message: said.append(f"{message.text} ({message.location['url']})"))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    context.close()
    unexpected = [text for text in said if not (may_say and re.search(may_say, text))]
    assert not unexpected, unexpected


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with opened_page(browser) as opened:
        yield opened


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def sign_in(page: Page, web: str, username: str, password: str) -> None:
    page.goto(f"{web}/sign-in")
    page.get_by_label("Name").fill(username)
    page.get_by_label("Password").fill(password)
    press(page, "Sign in")
    page.get_by_role("heading", name="Projects", exact=True).wait_for()
