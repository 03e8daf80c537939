"""A project that has something for every page to show, with names as long as they come."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from run_tools import new_run, store, zipped
from server_tools import new_project, new_user
from tracked_runs import checkpoint, config, media, order, picture, points, summary, track
from uuid6 import uuid7
from web_tools import make_version

if TYPE_CHECKING:
    from bench_server.accounts.models import User
    from bench_server.runs.models import Run

LONG = "a_name_that_goes_on_without_any_place_to_break_it_in_two"

CODE = {"train.py": "print(1)", f"models/{LONG}.py": "", "README.md": "Trains."}


@pytest.fixture(scope="module")
def owner(server_address: str) -> "Iterator[User]":
    """The server's owner, while these tests run."""
    from bench_server.accounts.models import Invitation, User

    before = User.objects.filter(is_owner=True)
    owners = list(before.values_list("pk", flat=True))
    before.update(is_owner=False)
    made = new_user()
    made.is_owner = True
    made.save()
    yield made
    Invitation.objects.all().delete()
    User.objects.filter(pk=made.pk).update(is_owner=False)
    User.objects.filter(pk__in=owners).update(is_owner=True)


def every_page(user: "User", root: Path) -> dict[str, str]:
    """Make it; the address of each page by what the page is.

    Args:
        user: Who owns the server, and sees its invitations.
        root: Where the dataset is written.
    """
    from bench_server.accounts import services as accounts
    from bench_server.code import services as code
    from bench_server.projects import services as projects

    number = uuid4().hex[:4]
    project = new_project(user, f"Cats and dogs of all countries {number}")
    new_project(user, LONG[:50] + number)
    accounts.create_invitation()
    accounts.create_personal_token(user, LONG + number, None)
    member = new_user()
    projects.set_member(project, member.username, projects.Role.MEMBER)
    samples = [({"class": f"cat {n}", LONG: [0.25] * 4}, {f"{n}.png": picture(n)}) for n in range(30)]
    version = make_version(project, user, root, samples, "cats")
    digest = store(project, zipped(CODE))
    origin = code.Origin(git_commit="ef" * 20, git_dirty=True, message=f"Try a larger {LONG}")
    code.create_version(project, user, uuid7(), digest, [], origin)
    command = ("python", "train.py", "--learning-rate", "0.001", f"--{LONG}=1")
    spec = {
        "bundle_digest": digest,
        "datasets": (("cats", 1),),
        "command": command,
        "project_version_number": 1,
    }
    ended, going = (
        new_run(
            project, name, environment={"LR": "0.1", LONG.upper(): "x" * 80}, git_commit="ab" * 20, **spec
        )
        for name in ("brave-otter-1", LONG[:60])
    )
    _fail_and_succeed(ended)
    _run_on(going)
    for place, run in enumerate((ended, going)):
        values = [2 / (1 + step * (place + 1)) for step in range(200)]
        track(
            run,
            config(lr=0.1 * (place + 1), model={"name": "resnet50", LONG: LONG}),
            summary(best=0.25, **{LONG: LONG}),
            order(version),
            *points(values, "train/loss", batches=3),
            *(record for step in (1, 2) for record in media(step)),
            checkpoint(100, 0.5),
            checkpoint(150, 0.25),
        )
        track(run, *points(values, f"validation/{LONG}"), *points(values, "lr"), writer="1-17-5e0c2a92")
    at = f"/projects/{project.pk}"
    runs = {
        f"{what}, {state}": f"{at}/runs/{run.pk}{rest}"
        for state, run in (("ended", ended), ("running", going))
        for what, rest in (
            ("run", ""),
            ("media", "/media"),
            ("log", "/log?q=loss"),
            ("files", "/files"),
            ("setup", "/setup"),
            ("batch", "/batch?attempt=1&rank=0&step=9"),
        )
    }
    return {
        "projects": "/",
        "new project": "/projects/new",
        "logins and tokens": "/account/tokens",
        "password": "/account/password",
        "invitations": "/invitations",
        "project": at,
        "members": f"{at}/members",
        "delete project": f"{at}/delete",
        "dataset": f"{at}/datasets/cats",
        "version": f"{at}/datasets/cats/1",
        "delete version": f"{at}/datasets/cats/1/delete",
        "code": f"{at}/code",
        "code version": f"{at}/code/1",
        "runs": f"{at}/runs",
        "runs, none found": f"{at}/runs?q=nothing+is+like+that",
        "runs, all columns": f"{at}/runs?{'&'.join(f'column={name}' for name in COLUMNS)}",
        **runs,
        "delete run": f"{at}/runs/{ended.pk}/delete",
        "compare": f"{at}/compare?run={ended.pk}&run={going.pk}",
        "not here": f"{at}/runs/{uuid7()}",
    }


COLUMNS = (
    "state",
    "created",
    "duration",
    "by",
    "tags",
    "code",
    "command",
    "reason",
    "metric:train/loss",
    "config:lr",
)


def _run_on(run: "Run", number: int = 1) -> None:
    from bench_server.runs import log_store
    from bench_server.runs.states import State
    from bench_server.runs.transitions import move

    attempt = run.attempts.get(number=number)
    for state in (State.BUILDING, State.STARTING, State.RUNNING):
        assert move(attempt.pk, state, fencing=None)
    lines = [b"step %d: loss %.4f\n" % (step, 1 / (step + 1)) for step in range(300)]
    log_store.append(attempt, 0, [*lines, b"x" * 500 + b"\n"])


def _end(run: "Run", number: int, reason: str, message: str) -> None:
    from bench_server.runs import services

    _run_on(run, number)
    attempt = run.attempts.get(number=number)
    assert services.end_attempt(attempt, reason, message, fencing=attempt.fencing, exit_code=0)


def _fail_and_succeed(run: "Run") -> None:
    from bench_server.runs import services
    from bench_server.runs.models import RunTag
    from django.conf import settings

    RunTag.objects.create(run=run, tag="baseline")
    folder = settings.FOLDER.runs / str(run.pk) / "output"
    folder.mkdir(parents=True)
    (folder / f"{LONG}.pt").write_bytes(b"weights")
    _end(run, 1, "failed_exit", f"the training returned 1: ValueError: {LONG}")
    services.resume(run, uuid7())
    _end(run, 2, "succeeded", "the training returned 0")


@pytest.fixture(scope="module")
def pages(owner: "User", tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The address of each page by what the page is."""
    return every_page(owner, tmp_path_factory.mktemp("pages"))
