"""The table of runs in a real browser: found, sorted, with chosen columns, and right while it is open."""

import pytest
from bench_server.accounts.models import User
from bench_server.projects.models import Project
from bench_server.runs import services
from bench_server.runs.models import Run
from bench_server.runs.states import State
from bench_server.runs.transitions import move
from browser_tools import browser, page, press
from page_tools import be, beside_a_loop, web
from playwright.sync_api import Page, expect
from run_tools import new_run
from server_tools import new_project, new_user
from tracked_runs import config, points, track

pytestmark = pytest.mark.needs("chromium")

__all__ = ["beside_a_loop", "browser", "page", "web"]

SLOWLY = 20_000
"""Milliseconds that an event may take on a busy machine."""


@pytest.fixture
def user(web: str) -> User:
    return new_user()


@pytest.fixture
def project(user: User) -> Project:
    return new_project(user)


@pytest.fixture
def runs(project: Project) -> dict[str, Run]:
    """Three, of which each is another one by loss, name and time; the last is stopped."""
    made = {name: new_run(project, name) for name in ("cat", "ant", "bee")}
    for number, run in enumerate(made.values()):
        track(run, config(lr=0.1 * number), *points([3.0 - number], "train/loss"))
    assert made["bee"].creator is not None
    services.stop(made["bee"], made["bee"].creator)
    return made


@pytest.fixture
def table(page: Page, web: str, user: User, project: Project, runs: dict[str, Run]) -> Page:
    be(page.context, user, web)
    page.goto(f"{web}/projects/{project.pk}/runs")
    expect(page.locator("#live")).to_have_text("Live")
    return page


def shown(table: Page) -> list[str]:
    return table.locator("#runs tbody th a").all_inner_texts()


def heads(table: Page) -> list[str]:
    return [text for text in table.locator("#runs thead th").all_inner_texts()[1:] if text]


def test_runs_are_found_by_text_and_state(table: Page) -> None:
    assert shown(table) == ["bee", "ant", "cat"]
    table.get_by_label("Find").fill("an")
    press(table, "Find")
    expect(table.locator("#runs tbody tr")).to_have_count(1)
    assert shown(table) == ["ant"]
    table.get_by_role("link", name="All runs").click()
    expect(table.locator("#runs tbody tr")).to_have_count(3)
    table.get_by_text("State", exact=True).first.click()
    table.get_by_label("Stopped", exact=True).check()
    table.get_by_role("button", name="Apply").locator("visible=true").click()
    expect(table.locator("#runs tbody tr")).to_have_count(1)
    assert shown(table) == ["bee"]


def test_runs_are_sorted_by_a_heading_and_by_what_they_logged(table: Page) -> None:
    table.get_by_role("columnheader").get_by_role("link", name="Name").click()
    expect(table.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "ascending")
    assert shown(table) == ["ant", "bee", "cat"]
    table.get_by_role("columnheader").get_by_role("link", name="Name").click()
    expect(table.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "descending")
    assert shown(table) == ["cat", "bee", "ant"]
    table.get_by_text("Columns", exact=True).first.click()
    table.get_by_label("train/loss", exact=True).check()
    table.get_by_label("lr", exact=True).check()
    table.get_by_label("Duration", exact=True).uncheck()
    table.get_by_role("button", name="Apply").locator("visible=true").click()
    expect(table.get_by_role("columnheader", name="train/loss")).to_be_visible()
    assert heads(table) == ["Name", "State", "Submitted", "By", "Tags", "train/loss", "lr"]
    assert shown(table) == ["cat", "bee", "ant"]  # still sorted
    table.get_by_role("columnheader").get_by_role("link", name="train/loss").click()
    expect(table.get_by_role("columnheader", name="train/loss")).to_have_attribute("aria-sort", "ascending")
    assert shown(table) == ["bee", "ant", "cat"]
    table.reload()  # the address has all of it
    assert shown(table) == ["bee", "ant", "cat"]
    assert heads(table) == ["Name", "State", "Submitted", "By", "Tags", "train/loss", "lr"]


def test_the_table_stays_right_and_keeps_what_was_chosen(
    table: Page, project: Project, runs: dict[str, Run]
) -> None:
    table.get_by_label("Compare cat").check()
    attempt = runs["cat"].attempts.get()
    for state, text in (
        (State.BUILDING, "Building"),
        (State.STARTING, "Starting"),
        (State.RUNNING, "Running"),
    ):
        assert move(attempt.pk, state, fencing=None)
        expect(table.get_by_role("row").filter(has_text="cat")).to_contain_text(text, timeout=SLOWLY)
    new_run(project, "dog")
    expect(table.get_by_role("link", name="dog")).to_be_visible(timeout=SLOWLY)
    assert shown(table) == ["dog", "bee", "ant", "cat"]
    expect(table.get_by_label("Compare cat")).to_be_checked()
    services.delete_run(runs["bee"])
    expect(table.get_by_role("link", name="bee")).to_have_count(0, timeout=SLOWLY)


def test_what_runs_log_comes_into_the_table(
    table: Page, web: str, project: Project, runs: dict[str, Run]
) -> None:
    table.goto(f"{web}/projects/{project.pk}/runs?column=state&column=metric:acc")
    expect(table.locator("#live")).to_have_text("Live")
    track(runs["ant"], *points([0.25, 0.75], "acc"), writer="1-17-5e0c2a92")
    expect(table.get_by_role("row").filter(has_text="ant")).to_contain_text("0.75", timeout=SLOWLY)
