"""Every page in a real browser: on a small screen, with any font; how much script it has."""

from collections.abc import Iterator

import pytest
from bench_server.accounts.models import User
from browser_tools import REFUSED, browser, opened_page
from every_page import owner, pages
from page_tools import be, beside_a_loop, web
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.needs("chromium")

__all__ = ["beside_a_loop", "browser", "owner", "pages", "web"]

SCRIPT_BYTES = 200_000
"""Of a page, at most."""

NARROW = 360

WIDE_FONT = "body, body * { font-family: monospace !important; letter-spacing: 0.12em !important; }"
"""Wider than what any system has."""

TOO_WIDE = """
() => [...document.querySelectorAll("body *")]
  .map((one) => [one, one.getBoundingClientRect()])
  .filter(([one, box]) => box.width && box.right > innerWidth + 0.5)
  .map(([one, box]) => `${one.tagName} ${one.id} ${one.className}: ${Math.round(box.right)}`)
"""

SCRIPTS = """
() => performance.getEntriesByType("resource")
  .filter((one) => one.initiatorType === "script")
  .map((one) => [one.name, one.decodedBodySize])
"""
"""Their addresses and sizes, as the browser loaded them."""


@pytest.fixture
def page(browser: Browser, owner: User, web: str) -> Iterator[Page]:
    with opened_page(browser, may_say=REFUSED) as opened:
        be(opened.context, owner, web)
        yield opened


def width(page: Page) -> int:
    found: int = page.evaluate("document.documentElement.scrollWidth")
    return found


def test_every_page_fits_a_small_screen(page: Page, web: str, pages: dict[str, str]) -> None:
    for name, path in pages.items():
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto(web + path)
        if page.locator("figure.chart").count():
            page.locator("figure.chart").first.scroll_into_view_if_needed()
            page.locator(".u-over").first.wait_for()
        page.set_viewport_size({"width": NARROW, "height": 800})
        assert width(page) <= NARROW, (name, page.evaluate(TOO_WIDE))


def test_every_page_fits_a_small_screen_with_a_wide_font(
    browser: Browser, owner: User, web: str, pages: dict[str, str]
) -> None:
    # The policy would forbid a test's style, too.
    context = browser.new_context(bypass_csp=True, viewport={"width": NARROW, "height": 800})
    be(context, owner, web)
    page = context.new_page()
    for name, path in {**pages, "sign-in": "/sign-in"}.items():
        page.goto(web + path)
        page.add_style_tag(content=WIDE_FONT)
        assert width(page) <= NARROW, (name, page.evaluate(TOO_WIDE))
    context.close()


def test_every_page_has_little_script(page: Page, web: str, pages: dict[str, str]) -> None:
    for name, path in pages.items():
        page.goto(web + path)
        loaded = page.evaluate(SCRIPTS)
        assert all(address.startswith(f"{web}/assets/") for address, _ in loaded), (name, loaded)
        assert 0 < sum(size for _, size in loaded) < SCRIPT_BYTES, (name, loaded)
