"""Pages of runs as a member sees them."""

from pathlib import Path
from typing import Any

import pytest
from bench_server.accounts.models import User
from bench_server.code import services as code
from bench_server.projects.models import Project
from bench_server.runs import log_store, services
from bench_server.runs.models import Attempt, Run, RunTag
from bench_server.runs.states import State
from bench_server.runs.transitions import move
from django.conf import settings
from run_tools import bundle, new_run, store
from server_tools import new_project, new_user
from uuid6 import uuid7
from web_tools import Browser, make_version, text_of


@pytest.fixture
def user(server_address: str) -> User:
    return new_user()


@pytest.fixture
def project(user: User) -> Project:
    return new_project(user)


@pytest.fixture
def browser(user: User) -> Browser:
    return Browser(user)


def page(browser: Browser, *parts: object, **query: Any) -> str:
    response = browser.get("/projects/" + "/".join(map(str, parts)), query)
    assert response.status_code == 200, text_of(response)
    return text_of(response)


def finish(run: Run, reason: str = "succeeded", message: str = "the training returned 0") -> None:
    attempt = run.attempts.get()
    for state in (State.BUILDING, State.STARTING, State.RUNNING):
        assert move(attempt.pk, state, fencing=None)
    attempt.refresh_from_db()
    assert services.end_attempt(attempt, reason, message, fencing=attempt.fencing, exit_code=0)


def shown_runs(text: str) -> list[str]:
    parts = text.split('<th scope="row"><a href="')[1:]
    return [part.split(">")[1].split("<")[0] for part in parts]


def test_a_project_without_runs_says_how_to_make_one(browser: Browser, project: Project) -> None:
    text = page(browser, project.pk, "runs")
    assert "No runs yet" in text
    assert "bench run" in text


def test_the_table_is_found_in_sorted_and_has_chosen_columns(browser: Browser, project: Project) -> None:
    first, second = new_run(project, "alpha", git_commit="ab" * 20), new_run(project, "Beta")
    RunTag.objects.create(run=second, tag="baseline")
    finish(first)
    assert shown_runs(page(browser, project.pk, "runs")) == ["Beta", "alpha"]
    assert shown_runs(page(browser, project.pk, "runs", sort="name")) == ["alpha", "Beta"]
    assert shown_runs(page(browser, project.pk, "runs", sort="-duration")) == ["alpha", "Beta"]
    assert shown_runs(page(browser, project.pk, "runs", q="base")) == ["Beta"]
    assert shown_runs(page(browser, project.pk, "runs", q="ABAB")) == ["alpha"]
    assert shown_runs(page(browser, project.pk, "runs", state="succeeded")) == ["alpha"]
    assert "No run is like that" in page(browser, project.pk, "runs", state="failed")
    text = page(browser, project.pk, "runs", column=["code", "command"], sort="name")
    assert "abababab" in text
    assert "python train.py" in text
    assert "Duration</a>" not in text
    assert 'aria-sort="ascending"' in text
    for odd in ("sort=nonsense", "sort=-", "column=x", "state=x", "page=99", "q=%00"):
        assert browser.get(f"/projects/{project.pk}/runs?{odd}").status_code == 200


def test_a_table_of_many_runs_is_paged_with_what_was_asked(browser: Browser, project: Project) -> None:
    digest = store(project, bundle(train="print(1)"))
    for _ in range(51):
        new_run(project, bundle_digest=digest)
    text = page(browser, project.pk, "runs", sort="name")
    assert len(shown_runs(text)) == 50
    assert 'href="?sort=name&amp;page=2"' in text


def test_a_run_says_how_it_is_and_why(browser: Browser, project: Project, user: User) -> None:
    run = new_run(project)
    Attempt.objects.filter(run=run).update(waiting_for="a free GPU")
    text = page(browser, project.pk, "runs", run.pk)
    assert "Queued" in text
    assert "waits for a free GPU" in text
    assert browser.send(f"/projects/{project.pk}/runs/{run.pk}/stop").status_code == 303
    text = page(browser, project.pk, "runs", run.pk)
    assert f"{user.username} stopped it before it began" in text
    resume = {"request_id": str(uuid7())}
    for _ in range(2):  # a form that is sent twice
        assert browser.send(f"/projects/{project.pk}/runs/{run.pk}/resume", **resume).status_code == 303
    text = page(browser, project.pk, "runs", run.pk)
    assert Attempt.objects.filter(run=run).count() == 2
    assert ">Attempt 2</th>" in text


def test_a_run_that_goes_on_is_not_deleted(browser: Browser, project: Project) -> None:
    run = new_run(project)
    address = f"/projects/{project.pk}/runs/{run.pk}/delete"
    assert f"Delete {run.name}?" in page(browser, project.pk, "runs", run.pk, "delete")
    refused: Any = browser.send(address)
    assert (refused.status_code, "has not ended" in text_of(refused)) == (409, True)
    services.stop(run, run.creator)  # type: ignore[arg-type]
    assert browser.send(address).status_code == 303
    assert not Run.objects.filter(pk=run.pk).exists()


def test_the_setup_says_what_the_run_was_made_of(
    browser: Browser, project: Project, user: User, tmp_path: Path
) -> None:
    make_version(project, user, tmp_path, [(0, {"a.txt": b"x"})], "cats")
    run = new_run(
        project,
        datasets=(("cats", 1),),
        environment={"LR": "<0.1>"},
        git_commit="cd" * 20,
        git_dirty=True,
        cpu_millis=1500,
        command=("python", "train.py", "--name", "a b"),
    )
    text = page(browser, project.pk, "runs", run.pk, "setup")
    assert "python train.py --name &#x27;a b&#x27;" in text
    assert "&lt;0.1&gt;" in text
    assert "cd" * 20 in text
    assert f'href="/projects/{project.pk}/datasets/cats/1"' in text
    assert "1.5 asked for" in text


def test_a_log_shows_its_end_and_finds_lines(browser: Browser, project: Project) -> None:
    run = new_run(project)
    attempt = run.attempts.get()
    assert "has written nothing yet" in page(browser, project.pk, "runs", run.pk, "log")
    lines = b"".join(b"step %d\n" % number for number in range(20_000))
    log_store.append(attempt, 0, [lines, b"<b>loss</b> nan\n", b" 0%|\r99%|"])
    text = page(browser, project.pk, "runs", run.pk, "log")
    assert "step 19999</div>" in text
    assert "step 3</div>" not in text  # a window of it
    assert "&lt;b&gt;loss&lt;/b&gt; nan" in text
    assert ">99%|</div>" in text
    found = page(browser, project.pk, "runs", run.pk, "log", q="STEP 1234")
    assert "11 lines with" in found
    at = lines.index(b"step 12340\n")
    assert f'id="at-{at}">step 12340</div>' in page(browser, project.pk, "runs", run.pk, "log", at=at)
    window: Any = browser.get(f"/projects/{project.pk}/runs/{run.pk}/log/lines", {"before": at}).json()
    assert window["lines"][-1][1] == "step 12339"
    odd: Any = browser.get(f"/projects/{project.pk}/runs/{run.pk}/log", {"at": "-1"})
    assert odd.status_code == 400
    assert browser.get(f"/projects/{project.pk}/runs/{run.pk}/log", {"attempt": "9"}).status_code == 400


def test_files_are_listed(browser: Browser, project: Project) -> None:
    run = new_run(project)
    assert "No files" in page(browser, project.pk, "runs", run.pk, "files")
    folder = settings.FOLDER.runs / str(run.pk) / "output"
    folder.mkdir(parents=True)
    (folder / "a b#.txt").write_text("x")
    text = page(browser, project.pk, "runs", run.pk, "files")
    assert "output/a%20b%23.txt" in text
    for path in ("output/none", "output/../../x", "elsewhere/x"):
        assert browser.get(f"/projects/{project.pk}/runs/{run.pk}/files/{path}").status_code == 404


def test_versions_of_the_code(browser: Browser, project: Project, user: User) -> None:
    assert "No code versions yet" in page(browser, project.pk, "code")
    digest = store(project, bundle(train="print(1)"))
    origin = code.Origin(git_commit="ef" * 20, git_dirty=False, message="try <more>")
    version, _ = code.create_version(project, user, uuid7(), digest, [], origin)
    run = new_run(project, bundle_digest=digest, project_version_number=version.number)
    assert "try &lt;more&gt;" in page(browser, project.pk, "code")
    text = page(browser, project.pk, "code", 1)
    assert "train.py" in text
    assert run.name in text
    for number in (0, 2):
        assert browser.get(f"/projects/{project.pk}/code/{number}").status_code == 404
