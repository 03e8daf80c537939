"""Every page, looked over by axe-core in both themes: what keeps somebody out who does not see or point."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench_server.accounts.models import User
from bench_server.web.assets import assets
from browser_tools import browser
from every_page import owner, pages
from page_tools import be, beside_a_loop, web
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.needs("chromium", "npm")

__all__ = ["beside_a_loop", "browser", "owner", "pages", "web"]

AXE = Path(__file__).parent / "npm" / "axe.js"

RUN = "async () => (await axe.run(document, { resultTypes: ['violations'] })).violations"

OPENED = ("sign-in", "first-account", "invitation", "sign-in/link")
"""Pages for whoever is not signed in."""


@pytest.fixture(scope="module")
def looking(browser: Browser) -> Iterator[Page]:
    """A page into which axe may be put, which the policy forbids."""
    context = browser.new_context(bypass_csp=True)
    context.add_init_script(path=AXE)
    yield context.new_page()
    context.close()


def problems(page: Page, address: str, theme: Any) -> list[str]:
    page.emulate_media(color_scheme=theme)
    page.goto(address)
    for chart in page.locator("figure.chart .u-over").all()[:1]:
        chart.wait_for()
    return [
        f"{found['id']} ({found['help']}): {', '.join(str(node['target']) for node in found['nodes'])}"
        for found in page.evaluate(RUN)
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_keeps_anybody_out(
    looking: Page, owner: User, web: str, pages: dict[str, str], theme: str, width: int
) -> None:
    looking.set_viewport_size({"width": width, "height": 800})
    looking.context.clear_cookies()
    found = {name: problems(looking, f"{web}/{name}", theme) for name in OPENED}
    be(looking.context, owner, web)
    for name, path in pages.items():
        found[name] = problems(looking, web + path, theme)
    assert not any(found.values()), "\n".join(f"{name}: {one}" for name in found for one in found[name])


def test_axe_is_not_served() -> None:
    assert AXE.exists()
    assert not [name for name in assets() if "axe" in name]
