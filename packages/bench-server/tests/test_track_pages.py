"""Pages of what a run logged: charts, batches, media, checkpoints; runs side by side."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from bench_server.accounts.models import User
from bench_server.projects.models import Project
from bench_server.runs import external
from bench_server.runs.labels import Labels
from bench_server.runs.models import Run
from bench_server.tracks import media_files
from bench_server.tracks.models import Media
from bench_server.web.assets import assets
from bench_track.records import pack_media, pack_order
from django.conf import settings
from run_tools import new_run
from server_tools import new_project, new_user
from tracked_runs import (
    BATCH_SIZE,
    checkpoint,
    config,
    media,
    order,
    order_of,
    picture,
    points,
    summary,
    track,
)
from uuid6 import uuid7
from web_tools import Browser, make_version, text_of

SCRIPT_BYTES = 200_000
"""Of a page, at most."""


@pytest.fixture
def user(server_address: str) -> User:
    return new_user()


@pytest.fixture
def project(user: User) -> Project:
    return new_project(user)


@pytest.fixture
def browser(user: User) -> Browser:
    return Browser(user)


def address(run: Run, *parts: str) -> str:
    return "/".join([f"/projects/{run.project_id}/runs/{run.pk}", *parts])


def page(browser: Browser, path: str, **query: Any) -> str:
    response: Any = browser.get(path, query)
    assert response.status_code == 200, text_of(response)
    return text_of(response)


def test_a_chart_is_what_is_in_its_range(browser: Browser, project: Project) -> None:
    run = new_run(project)
    track(run, *points([float("nan"), 2.0, 1.0, float("inf"), 0.5], "train/loss"))
    found = json.loads(page(browser, address(run, "chart"), series="train/loss"))
    [line] = found["lines"]
    assert (found["series"], line["attempt"], line["rank"], line["count"]) == ("train/loss", 1, 0, 5)
    assert line["steps"] == [0, 1, 2, 3, 4]
    assert line["last"][:3] == [None, 2.0, 1.0]
    part = json.loads(
        page(browser, address(run, "chart"), series="train/loss", **{"from": 1, "to": 2, "width": 1})
    )
    assert (part["lines"][0]["min"], part["lines"][0]["max"]) == ([1.0], [2.0])
    assert json.loads(page(browser, address(run, "chart"), series="none"))["lines"] == []
    for odd in ("from=x", "from=5&to=4", "width=0", "width=1000000", f"to={'9' * 30}"):
        assert browser.get(f"{address(run, 'chart')}?series=train/loss&{odd}").status_code == 400, odd


def test_a_run_page_begins_with_its_series_and_little_script(browser: Browser, project: Project) -> None:
    run = new_run(project)
    track(run, *points([2.0, 1.0], "</script><b>"))
    text = page(browser, address(run))
    found = re.search(r'<script id="board-data" type="application/json">(.*?)</script>', text)
    assert found is not None
    board = json.loads(found[1])
    assert [series["name"] for series in board["series"]] == ["</script><b>"]
    assert board["series"][0]["last"] == 1.0
    scripts = re.findall(r'<script src="/assets/[0-9a-f]+/([^"]+)"', text)
    assert "uPlot.js" in scripts
    assert sum(len(assets()[name].content) for name in scripts) < SCRIPT_BYTES


def test_a_step_shows_its_batch(browser: Browser, project: Project, user: User, tmp_path: Path) -> None:
    samples: list[tuple[Any, dict[str, bytes]]] = [
        ({"class": f"cat {number}"}, {f"{number}.png": picture(number)}) for number in range(40)
    ]
    version = make_version(project, user, tmp_path, samples, "cats", chunk_bytes=2048)
    assert version.chunk_count > 3
    run = new_run(project, datasets=(("cats", 1),))
    track(run, order(version), *points([1.0] * 12, "train/loss", batches=5))
    text = page(browser, address(run, "batch"), attempt=1, rank=0, step=9)
    assert "epoch 1, batch 4: 8 samples" in text
    assert re.findall(r"<span>cat (\d+)</span>", text) == [str(number) for number in range(32, 40)]
    sources = re.findall(r'<img src="(/projects[^"]+)"', text)
    assert [browser.get(source).content for source in sources] == [
        picture(number) for number in range(32, 40)
    ]
    assert len(sources) == BATCH_SIZE
    for query in ({"step": 99}, {"rank": 1, "step": 1}):
        response: Any = browser.get(address(run, "batch"), query)
        assert (response.status_code, "nothing says which batch" in text_of(response)) == (404, True)


def test_a_batch_of_a_dataset_that_is_not_here_says_so(
    browser: Browser, project: Project, tmp_path: Path
) -> None:
    other = new_user()
    version = make_version(new_project(other), other, tmp_path, [(0, {"a.txt": b"x"})], "cats")
    run = new_run(project)
    track(run, order(version), *points([1.0], "loss", batches=1))
    response: Any = browser.get(address(run, "batch"), {"step": 0})
    assert response.status_code == 404
    assert "bench_data.push" in text_of(response)


def test_media_are_shown_by_step(browser: Browser, project: Project) -> None:
    run = new_run(project)
    assert "No images" in page(browser, address(run, "media"))
    track(run, *media(10), *media(20))
    text = page(browser, address(run, "media"))
    assert "Step 20" in text
    assert "a &lt;cat&gt; of 20" in text
    assert "step 20 &lt;b&gt;" in text
    assert "cat &lt;1&gt;" in text
    assert text.count("<rect ") == 4
    assert "<span>10 values, mean 0.1, 2 NaN</span>" in text
    [source] = re.findall(r'<img src="(/projects[^"]+)"', text)
    image: Any = browser.get(source)
    assert (image["Content-Type"], image.content) == ("image/png", picture(20))
    assert image["Content-Security-Policy"] == "default-src 'none'; sandbox"
    earlier = page(browser, address(run, "media"), step=10)
    assert "a &lt;cat&gt; of 10" in earlier
    assert 'href="?step=20"' in earlier
    assert "Nothing yet at this step" in page(browser, address(run, "media"), step=5)


@pytest.mark.parametrize("kind", ["image", "histogram", "table", "text", "unheard-of"])
@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 7, b"\xff" * 24, b"[1]", b'{"columns": 1, "rows": 2}', b"<svg>"]
)
def test_media_that_are_none_do_not_break_the_page(
    browser: Browser, project: Project, kind: str, content: bytes
) -> None:
    run = new_run(project)
    track(run, pack_media({"series": "odd", "type": kind}, content, step=1, time=1))
    text = page(browser, address(run, "media"))
    assert "odd" in text
    for source in re.findall(r'<img src="(/projects[^"]+)"', text):
        assert browser.get(source).status_code == 404


def test_media_of_another_run_are_not_there(browser: Browser, project: Project) -> None:
    run, other = new_run(project), new_run(new_project(new_user()))
    track(other, *media(1))
    found = Media.objects.filter(track__attempt__run=other, name="samples").get()
    assert media_files.read(found) == picture(1)
    assert browser.get(address(run, "media", str(found.pk))).status_code == 404
    assert browser.get(address(run, "media", "9" * 30)).status_code == 404


def test_checkpoints_are_listed_with_their_files(browser: Browser, project: Project) -> None:
    run = new_run(project)
    track(run, checkpoint(100, 0.5), checkpoint(200, 0.75, best=True))
    folder = settings.FOLDER.runs / str(run.pk) / "output" / "checkpoints" / "step-000000200"
    folder.mkdir(parents=True)
    text = page(browser, address(run, "files"))
    assert text.index("Step 200") < text.index("Step 100")
    assert re.findall(r'<td data-label="Metric"><span>(.*?)</span></td>', text) == [
        '0.75 <span class="badge">best</span>',
        "0.5",
    ]
    assert "2025-12-01 00:00 UTC" in text  # when it was written, not when the server heard of it
    assert 'href="?q=step-000000200"' in text
    assert 'href="?q=step-000000100"' not in text
    assert "Gone" in text


def test_a_run_from_elsewhere_shows_what_can_be_known_of_it(
    browser: Browser, project: Project, user: User, tmp_path: Path
) -> None:
    version = make_version(project, user, tmp_path, [(0, {"a.txt": b"x"})], "cats")
    labels = Labels(name="far")
    run, _ = external.start(project, user, uuid7(), labels=labels, command=("train.py",))
    assert "No loader of bench-data said which it has" in page(browser, address(run, "setup"))
    track(run, order(version), pack_order(2, {**order_of(version), "dataset": "dogs"}))
    text = page(browser, address(run, "setup"))
    assert f'href="/projects/{project.pk}/datasets/cats/1"' in text
    assert re.findall(r'<td data-label="Version">(.*?)</td>', text) == ["version 1", "not on the server"]
    assert text.count("It was started elsewhere") == 2
    for word in ("Git commit", "Image", "CPUs"):
        assert f"<dt>{word}</dt>" not in text
    assert "what it writes stays there" in page(browser, address(run, "log"))
    assert "run.checkpoint" in page(browser, address(run, "files"))


def test_runs_are_compared(browser: Browser, project: Project) -> None:
    first, second = (
        new_run(project, "one", environment={"A": "1"}),
        new_run(project, "two", environment={"A": "1"}),
    )
    track(first, config(lr=0.1, model={"width": 64}, seed=1), *points([1.0], "loss"))
    track(second, config(lr=0.2, model={"width": 64}), *points([1.0], "acc"))
    text = page(browser, f"/projects/{project.pk}/compare", run=[str(first.pk), str(second.pk)])
    different, _, same = text.partition("The same for all")
    assert '<th scope="row">lr</th>' in different
    assert '<th scope="row">seed</th>' in different
    assert "model.width" not in different
    assert "model.width" in same
    assert "$A" in same
    assert '"name": "acc"' in text
    assert '"name": "loss"' in text
    for odd in ([], ["x"], [str(new_run().pk)]):
        assert browser.get(f"/projects/{project.pk}/compare", {"run": odd}).status_code in (400, 404)


def test_what_came_of_runs_is_shown_and_compared(browser: Browser, project: Project) -> None:
    first, second, third = new_run(project, "one"), new_run(project, "two"), new_run(project, "three")
    track(first, config(best=1), summary(best=0.75, top={"5": 0.9}, note="<b>"))
    track(second, config(best=1), summary(best=0.5, note="<b>"))
    text = page(browser, address(first))
    shown = text[text.index("<h2>Summary</h2>") :]
    # In an order of the database's: PostgreSQL does not keep that of the keys.
    assert set(re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", shown)) == {
        ("best", "0.75"),
        ("top.5", "0.9"),
        ("note", "&lt;b&gt;"),
    }
    assert "<h2>Summary</h2>" not in page(browser, address(third))
    text = page(browser, f"/projects/{project.pk}/compare", run=[str(first.pk), str(second.pk)])
    different, _, same = text.partition("The same for all")
    assert set(re.findall(r'<th scope="row">(summary [^<]+)</th>', different)) == {
        "summary best",
        "summary top.5",
    }
    assert "<dt>summary note</dt>" in same
    assert "<dt>best</dt>" in same
    runs = f"/projects/{project.pk}/runs"
    text = page(browser, runs, column=["summary:best"], sort="summary:best")
    assert re.findall(r'<td data-label="best">(.*?)</td>', text) == ["0.5", "0.75", ""]
    assert 'value="summary:top.5"' in text  # can be chosen


def test_the_table_shows_and_sorts_by_what_runs_logged(browser: Browser, project: Project) -> None:
    first, second, _ = new_run(project, "one"), new_run(project, "two"), new_run(project, "three")
    track(first, config(lr=0.1, model={"width": 64}), *points([3.0, 0.25], "train/loss"))
    track(second, config(lr=0.01, model={"width": 128}), *points([0.125, 1.5], "train/loss"))
    runs = f"/projects/{project.pk}/runs"
    text = page(browser, runs, column=["metric:train/loss", "config:model.width"])
    assert "1.5</td>" in text
    assert "128</td>" in text
    assert 'value="config:lr"' in text  # can be chosen

    def names(sort: str) -> list[str]:
        return re.findall(r'<th scope="row"><a href="[^"]+">(\w+)</a>', page(browser, runs, sort=sort))

    assert names("metric:train/loss") == ["one", "two", "three"]
    assert names("-metric:train/loss") == ["two", "one", "three"]
    assert names("-config:model.width") == ["two", "one", "three"]
    assert names("config:lr") == ["two", "one", "three"]
    for odd in ("config:", "config:a..b", "metric:", "config:'; DROP", 'config:a"b', "config:0.1"):
        assert len(names(odd)) == 3, odd
