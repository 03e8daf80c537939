"""The whole path in a real browser, from an empty server to signing out."""

import io
from pathlib import Path
from uuid import UUID

import bench_auth
import numpy as np
import pytest
from bench_auth import call
from bench_data import push, write_chunks
from bench_protos.auth.v1 import auth_pb2 as pb
from bench_protos.auth.v1.auth_pb2_grpc import AuthServiceStub
from browser_tools import browser, page, press
from free_ports import free_port
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from test_start import PASSWORD, own_config, running
from web_tools import Given

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.usefixtures("own_config")]

__all__ = ["browser", "own_config", "page"]


def picture(number: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), 40 * number, np.uint8)).save(content, "PNG")
    return content.getvalue()


def test_from_an_empty_server_to_signing_out(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, web_port = free_port(), free_port()
    endpoint, web = f"http://localhost:{port}", f"http://localhost:{web_port}"
    with running(tmp_path / "data", port, web_port):
        page.goto(web)
        expect(page.get_by_role("heading")).to_have_text("Welcome to Bench")
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_label("The same again").fill(PASSWORD)
        press(page, "Make the account")

        page.get_by_role("link", name="New project").click()
        page.get_by_label("Name").fill("catdog")
        press(page, "Make the project")
        expect(page.get_by_role("heading", name="No datasets yet")).to_be_visible()
        project = UUID(page.url.rpartition("/")[2])

        bench_auth.login(endpoint, "ada", PASSWORD)
        write_chunks(
            Given([((number, "cat"), {f"{number}.png": picture(number)}) for number in range(5)]),
            "train",
            tmp_path,
        )
        monkeypatch.setenv("BENCH_ENDPOINT", endpoint)
        push("train", project=str(project), root=tmp_path)
        page.reload()
        page.get_by_role("link", name="train").click()
        page.get_by_role("link", name="Look into it").click()
        images = page.get_by_role("img", name="File ")
        expect(images).to_have_count(5)
        for number in range(5):
            images.nth(number).scroll_into_view_if_needed()
            expect(images.nth(number)).to_have_js_property("naturalWidth", 30)

        page.locator("summary").click()
        page.get_by_role("link", name="Logins and tokens").click()
        page.get_by_label("Name").fill("nightly")
        press(page, "Make token")
        token = page.locator("#secret").inner_text()
        assert token.startswith("bench_p_")
        monkeypatch.setenv("BENCH_TOKEN", token)
        assert bench_auth.current_user(endpoint).username == "ada"
        monkeypatch.delenv("BENCH_TOKEN")
        page.goto(f"{web}/account/tokens")
        assert token not in page.content()

        page.locator("summary").click()
        press(page, "Sign out")
        expect(page.get_by_role("status")).to_have_text("You are signed out.")
        page.go_back()
        expect(page.get_by_role("heading")).to_have_text("Sign in")


def test_secrets_in_links(page: Page, browser: Browser, tmp_path: Path) -> None:
    port, web_port = free_port(), free_port()
    endpoint, web = f"http://localhost:{port}", f"http://localhost:{web_port}"
    with running(tmp_path / "data", port, web_port):
        bench_auth.create_owner(endpoint, "ada", PASSWORD)
        channel = bench_auth.open_channel(endpoint)
        made = call(AuthServiceStub(channel).CreateWebLogin, pb.CreateWebLoginRequest(path="/invitations"))
        assert made.url.startswith(f"{web}/sign-in/link?next=%2Finvitations#bench_w_")
        page.goto(made.url)
        expect(page.get_by_role("heading", name="Invitations", exact=True)).to_be_visible()
        press(page, "New invitation")
        link = page.locator("#secret").inner_text()
        guest = browser.new_context().new_page()
        guest.goto(link)
        expect(guest.get_by_label("Invitation")).to_have_value(link.partition("#")[2])
        assert guest.url == f"{web}/invitation"  # the secret is in the history no more
        guest.get_by_label("Name").fill("grace")
        guest.get_by_label("Password").fill(PASSWORD)
        guest.get_by_label("The same again").fill(PASSWORD)
        press(guest, "Make my account")
        expect(guest.get_by_role("heading", name="Projects", exact=True)).to_be_visible()
        guest.context.close()
        page.set_viewport_size({"width": 360, "height": 640})
        for path in ("/", "/invitations", "/account/tokens", "/account/password", "/projects/new"):
            page.goto(web + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
