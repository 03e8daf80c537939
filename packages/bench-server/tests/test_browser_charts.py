"""Charts in a real browser: a million points, a spike that is zoomed into and clicked, lines that grow."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_server.accounts.models import User
from bench_server.projects.models import Project
from bench_server.runs.models import Run
from bench_server.tracks import ingest
from bench_server.tracks.blocks import Logged, add_points
from bench_server.tracks.models import Series, Track
from bench_server.tracks.points import BATCH, POINT
from bench_track.records import pack_points
from browser_tools import browser, page, sign_in
from django.db import transaction
from page_tools import beside_a_loop, web
from playwright.sync_api import Page, Response, expect
from run_tools import new_run
from server_tools import PASSWORD, new_project, new_user
from tracked_runs import WRITER, config, order, picture, points, track
from web_tools import make_version

pytestmark = pytest.mark.needs("chromium")

__all__ = ["beside_a_loop", "browser", "page", "web"]

MANY = 1_000_000
SPIKE = 654_321
SAMPLES, BATCHES = 40, 5


@pytest.fixture
def user(web: str) -> User:
    return new_user()


@pytest.fixture
def project(user: User) -> Project:
    return new_project(user)


def with_many_points(project: Project, user: User, root: Path) -> Run:
    """A run whose loss has a spike that no other step has, and whose batches are known."""
    samples: list[tuple[Any, dict[str, bytes]]] = [
        (f"cat {number}", {f"{number}.png": picture(number)}) for number in range(SAMPLES)
    ]
    version = make_version(project, user, root, samples, "cats")
    run = new_run(project, "long", datasets=(("cats", 1),))
    track(run, order(version))
    found = np.zeros(MANY, POINT)
    found["step"] = np.arange(MANY)
    found["value"] = 2 + np.random.default_rng(0).normal(size=MANY) * 0.1
    found["value"][SPIKE] = 50.0
    batches = np.zeros(MANY, BATCH)
    batches["order"], batches["epoch"], batches["batch"] = (
        1,
        found["step"] // BATCHES,
        found["step"] % BATCHES,
    )
    series = Series.objects.create(track=Track.objects.get(attempt__run=run), name="train/loss")
    with transaction.atomic():
        add_points({series.pk: Logged(found, batches)})
    return run


def is_chart(response: Response) -> bool:
    return "/chart?" in response.url and response.ok


def greatest(response: Response) -> float:
    found = json.loads(response.body())
    return float(max(value for line in found["lines"] for value in line["max"] if value is not None))


def plot(page: Page, name: str) -> Any:
    return page.locator(f'figure[data-series="{name}"] .u-over')


def test_a_spike_of_a_million_points_is_found_zoomed_into_and_clicked(
    page: Page, web: str, project: Project, user: User, tmp_path: Path
) -> None:
    run = with_many_points(project, user, tmp_path)
    sign_in(page, web, user.username, PASSWORD)
    with page.expect_response(is_chart) as answer:
        page.goto(f"{web}/projects/{project.pk}/runs/{run.pk}")
    assert greatest(answer.value) == 50.0  # no peak is lost
    assert len(answer.value.body()) < 200_000
    over = plot(page, "train/loss")
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    assert box is not None
    at = box["x"] + box["width"] * SPIKE / (MANY - 1)
    middle = box["y"] + box["height"] / 2
    with page.expect_response(is_chart) as answer:  # drag over what is around it
        page.mouse.move(at - 20, middle)
        page.mouse.down()
        page.mouse.move(at + 20, middle, steps=5)
        page.mouse.up()
    assert greatest(answer.value) == 50.0
    first, last = (int(page.get_by_label(label).input_value()) for label in ("From step", "To step"))
    assert first < SPIKE < last
    assert last - first < MANY / 4
    assert f"from={first}" in page.url  # what is shown can be shared
    page.reload()
    expect(page.get_by_label("From step")).to_have_value(str(first))
    over = plot(page, "train/loss")
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    assert box is not None
    at = box["x"] + box["width"] * (SPIKE - first) / (last - first)
    page.mouse.click(at, box["y"] + box["height"] * 0.1)  # near its top
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text(f"Batch of step {SPIKE:,}")
    first_sample = SPIKE % BATCHES * (SAMPLES // BATCHES)
    expect(dialog.get_by_text(f"cat {first_sample}", exact=True)).to_be_visible()
    expect(dialog.get_by_role("img")).to_have_count(SAMPLES // BATCHES)
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def test_charts_are_read_by_keyboard(page: Page, web: str, project: Project, user: User) -> None:
    run = new_run(project)
    track(run, *points([3.0, 2.0, 1.0], "train/loss"))
    sign_in(page, web, user.username, PASSWORD)
    page.goto(f"{web}/projects/{project.pk}/runs/{run.pk}")
    chart = page.get_by_role(
        "img", name="Chart of train/loss: 3 points, steps 0 to 2; last 1, least 1, greatest 3."
    )
    expect(plot(page, "train/loss")).to_be_visible()
    chart.focus()
    tip = page.locator("figure .tip")
    for key, said in (("Home", "step 0\n3"), ("ArrowRight", "step 1\n2"), ("End", "step 2\n1")):
        page.keyboard.press(key)
        expect(tip).to_have_text(said)
    page.get_by_label("Find charts").fill("acc")
    expect(chart).to_be_hidden()
    expect(page.locator("#board-says")).to_have_text("0 of 1 charts")


def test_marks_of_an_axis_have_room(page: Page, web: str, project: Project, user: User) -> None:
    run = new_run(project)
    track(run, *points([2.0, 1.0], "loss"), writer="0-17-5e0c2a91")
    track(run, *points([0.000275, 0.000225], "lr"), writer="0-17-5e0c2a92")
    sign_in(page, web, user.username, PASSWORD)
    page.goto(f"{web}/projects/{project.pk}/runs/{run.pk}")
    widths = {}
    for name in ("loss", "lr"):
        plot(page, name).wait_for()
        left = plot(page, name).evaluate("over => over.offsetLeft")
        widths[name] = int(left)
    # Of the font of axes, as wide as it is anywhere.
    needed = page.evaluate("""() => {
      const context = document.createElement("canvas").getContext("2d");
      context.font = "12px system-ui, sans-serif";
      return context.measureText("2.75e-4").width;
    }""")
    assert widths["loss"] < widths["lr"]
    assert widths["lr"] > needed + 15  # its tick and the gap beside


def test_charts_grow_while_they_are_watched(page: Page, web: str, project: Project, user: User) -> None:
    run = new_run(project)
    sign_in(page, web, user.username, PASSWORD)
    page.goto(f"{web}/projects/{project.pk}/runs/{run.pk}")
    expect(page.locator("#live")).to_have_text("Live")
    expect(page.get_by_role("region", name="Charts")).to_be_hidden()
    begun = [*points([3.0, 2.0], "train/loss")]
    track(run, config(lr=0.1), *begun)
    expect(page.locator("figure .value")).to_have_text("2")
    expect(plot(page, "train/loss")).to_be_visible()
    found = Track.objects.get(attempt__run=run, writer=WRITER)
    ingest.append(found.attempt, WRITER, found.received, [pack_points(1, step=2, time=9, values=[1.5])])
    expect(page.locator("figure .value")).to_have_text("1.5")
    page.get_by_role("img", name="Chart of train/loss").focus()
    page.keyboard.press("End")
    expect(page.locator("figure .tip")).to_have_text("step 2 1.5")


def test_attempts_and_ranks_and_runs_are_lines(page: Page, web: str, project: Project, user: User) -> None:
    first, second = new_run(project, "one"), new_run(project, "two")
    for rank in range(2):
        track(first, *points([3.0, 2.0], "loss"), writer=f"{rank}-17-5e0c2a9{rank}")
    track(second, *points([4.0, 2.0, 1.0], "loss"))
    sign_in(page, web, user.username, PASSWORD)
    page.goto(f"{web}/projects/{project.pk}/runs")
    for name in ("one", "two"):
        page.get_by_label(f"Compare {name}").check()
    page.get_by_role("button", name="Compare the chosen").click()
    legend = page.locator("figure .legend li")
    expect(legend).to_have_count(3)
    assert sorted(legend.all_inner_texts()) == ["one, rank 0", "one, rank 1", "two, rank 0"]
    expect(page.locator("figure .value")).to_have_text("")  # the last of which?
    expect(
        page.get_by_role("img", name="Chart of loss: 7 points, steps 0 to 2; least 1, greatest 4.")
    ).to_be_visible()
    page.get_by_label("Log scale").check()
    page.get_by_label("Smoothing").fill("0.5")
    assert "log=1" in page.url
    assert "smooth=0.5" in page.url
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
