"""Runs in a real browser: watched live to their end, by those who may, and across a restart of the server."""

from collections.abc import Iterator
from pathlib import Path

import bench_auth
import pytest
from agent_tools import PASSWORD
from bench_auth import call
from bench_protos.projects.v1 import projects_pb2
from bench_protos.projects.v1.projects_pb2_grpc import ProjectServiceStub
from bench_protos.runs.v1 import runs_pb2 as pb
from browser_tools import AWAY, REFUSED, browser, opened_page, page, press, sign_in
from playwright.sync_api import Browser, Page, expect
from runner_tools import PATIENCE_SECONDS, Runs, running

pytestmark = pytest.mark.needs("chromium")

__all__ = ["browser", "page"]

COUNTS = """\
import os, pathlib, time
output = pathlib.Path(os.environ["BENCH_OUTPUT"])
number = 0
while not (output / "end").exists():
    print("step", number, flush=True)
    number += 1
    time.sleep(0.05)
print("\\r 50%|\\r100%|", flush=True)
(output / "model.pt").write_bytes(b"weights")
"""
"""Counts until it is told to end."""

LOGS = """\
import bench_track, os, pathlib, time
output = pathlib.Path(os.environ["BENCH_OUTPUT"])
run = bench_track.init()
number = 0
while not (output / "end").exists():
    run.log({"count": number}, step=number)
    number += 1
    time.sleep(0.05)
print("last", number - 1)
"""
"""Likewise; each number is logged."""

SLOWLY = PATIENCE_SECONDS * 1000


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    with running(tmp_path_factory.mktemp("server"), "process") as found:
        yield found


def web(runs: Runs) -> str:
    return f"http://localhost:{runs.server.port + 1}"


def address(runs: Runs, *parts: str) -> str:
    return "/".join([web(runs), "projects", runs.project_id, *parts])


def tell_to_end(runs: Runs, run: str) -> None:
    (runs.folder(run) / "output" / "end").touch()


def steps(page: Page) -> list[int]:
    """The numbers of the lines that are shown."""
    shown = page.locator("#log").inner_text().splitlines()
    return [int(line.split()[1]) for line in shown if line.startswith("step ")]


def test_a_run_is_watched_live_to_its_end(page: Page, runs: Runs, tmp_path: Path) -> None:
    sign_in(page, web(runs), "ada", PASSWORD)
    page.goto(address(runs, "runs"))
    expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()
    run = runs.submit(COUNTS)
    page.get_by_role("link", name="run-1").click(timeout=SLOWLY)  # it came by itself
    state = page.locator("#run-state")
    expect(state).to_contain_text("Running", timeout=SLOWLY)
    page.get_by_role("link", name="Log", exact=True).click()
    log = page.get_by_role("log")
    expect(log).to_contain_text("step 20\n", timeout=SLOWLY)
    tell_to_end(runs, run)
    expect(state).to_contain_text("Succeeded", timeout=SLOWLY)
    expect(log).to_contain_text("100%|")
    assert "50%|" not in log.inner_text()
    assert steps(page) == list(range(len(steps(page))))
    page.get_by_label("Search").fill("STEP 7")
    press(page, "Show")
    page.get_by_role("link", name="step 7", exact=True).click()
    expect(page.locator(".sought")).to_have_text("step 7")
    page.get_by_role("link", name="Files").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="output/model.pt").click()
    assert Path(download.value.path()).read_bytes() == b"weights"
    page.get_by_role("link", name="Setup").click()
    expect(page.get_by_text("python train.py")).to_be_visible()
    page.get_by_role("link", name="Delete").click()
    press(page, "Delete the run")
    expect(page.get_by_text("run-1 is deleted.")).to_be_visible()


def test_a_run_is_stopped_and_resumed_by_hand(page: Page, runs: Runs) -> None:
    run = runs.submit(COUNTS)
    runs.wait_for_log(run, b"step 1\n")
    sign_in(page, web(runs), "ada", PASSWORD)
    page.goto(address(runs, "runs", run))
    press(page, "Stop")
    state = page.locator("#run-state")
    expect(state).to_contain_text("Stopped", timeout=SLOWLY)
    expect(state).to_contain_text("ada")
    press(page, "Resume")
    expect(state).to_contain_text("Running", timeout=SLOWLY)
    expect(page.get_by_role("rowheader", name="Attempt 2")).to_be_visible()
    tell_to_end(runs, run)
    expect(state).to_contain_text("Succeeded", timeout=SLOWLY)


def test_a_restart_of_the_server_under_an_open_page(browser: Browser, runs: Runs) -> None:
    with opened_page(browser, may_say=AWAY) as page:
        run = runs.submit(COUNTS)
        runs.wait_for_log(run, b"step 1\n")
        sign_in(page, web(runs), "ada", PASSWORD)
        page.goto(address(runs, "runs", run, "log"))
        live = page.locator("#live")
        expect(live).to_have_text("Live")
        seen = max(steps(page), default=0)
        runs.server.kill()
        expect(live).to_have_text("Connecting again …")
        runs.server.start()
        runs.wait_for_log(run, b"step %d\n" % (seen + 100))
        tell_to_end(runs, run)
        expect(live).to_have_text("Live", timeout=SLOWLY)
        expect(page.locator("#run-state")).to_contain_text("Succeeded", timeout=SLOWLY)
        expect(page.get_by_role("log")).to_contain_text("100%|")
        assert steps(page) == list(range(runs.log(run).count(b"step")))


def test_a_restart_of_the_server_under_open_charts(browser: Browser, runs: Runs) -> None:
    with opened_page(browser, may_say=AWAY) as page:
        run = runs.submit(LOGS)
        sign_in(page, web(runs), "ada", PASSWORD)
        page.goto(address(runs, "runs", run))
        chart = page.get_by_role("figure").filter(has_text="count").first
        value = chart.locator(".value")
        expect(value).not_to_have_text("0", timeout=SLOWLY)
        runs.server.kill()
        expect(page.locator("#live")).to_have_text("Connecting again …")
        seen = int(value.inner_text())
        runs.server.start()
        expect(value).not_to_have_text(str(seen), timeout=SLOWLY)
        tell_to_end(runs, run)
        expect(page.locator("#run-state")).to_contain_text("Succeeded", timeout=SLOWLY)
        last = int(runs.log(run).split()[1])
        assert last > seen
        expect(value).to_have_text(f"{last:,}", timeout=SLOWLY)
        page.get_by_role("img", name="Chart of count").focus()
        for step in (last, last - 1):
            page.keyboard.press("End" if step == last else "ArrowLeft")
            expect(chart.locator(".tip")).to_contain_text(f"step {step:,} ")


def test_two_users_with_different_rights(browser: Browser, runs: Runs) -> None:
    run = runs.submit(COUNTS)
    runs.wait(run, pb.RUN_STATE_RUNNING)
    channel = bench_auth.open_channel(runs.server.endpoint)
    for name in ("grace", "mallory"):
        invitation = runs.server.command("invite").stdout.strip()
        config = runs.server.data.parent / name
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BENCH_CONFIG_DIR", str(config))
            bench_auth.accept_invitation(runs.server.endpoint, invitation, name, PASSWORD)
    projects = ProjectServiceStub(channel)
    member = projects_pb2.SetMemberRequest(
        project_id=runs.project_id, username="grace", role=projects_pb2.ROLE_MEMBER
    )
    call(projects.SetMember, member)
    with opened_page(browser, may_say=REFUSED) as page:  # what it asks for in the moment of the removal
        sign_in(page, web(runs), "grace", PASSWORD)
        page.goto(address(runs, "runs", run))
        expect(page.locator("#live")).to_have_text("Live")
        with opened_page(browser, may_say=REFUSED) as other:
            sign_in(other, web(runs), "mallory", PASSWORD)
            other.goto(address(runs, "runs", run, "log"))
            expect(other.get_by_role("heading", name="Not here")).to_be_visible()
            assert "step" not in other.content()
        removal = projects_pb2.RemoveMemberRequest(project_id=runs.project_id, username="grace")
        call(projects.RemoveMember, removal)
        expect(page.locator("#live")).to_have_text("This is not here any more.", timeout=SLOWLY)
    tell_to_end(runs, run)


def test_pages_of_runs_fit_a_small_screen(page: Page, runs: Runs) -> None:
    run = runs.submit("print('x' * 5000)", command=["python", "train.py", "--long", "y" * 500])
    runs.wait(run)
    sign_in(page, web(runs), "ada", PASSWORD)
    page.set_viewport_size({"width": 360, "height": 640})
    for parts in (
        ["runs"],
        ["code"],
        *(["runs", run, *part] for part in ([], ["log"], ["files"], ["setup"])),
    ):
        page.goto(address(runs, *parts))
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, parts
