"""Streams of a real web server: events, and files by range."""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from bench_server.accounts import services as accounts
from bench_server.accounts.models import Token, User
from bench_server.projects import services as projects
from bench_server.projects.models import Project
from bench_server.runs import external, log_store, services
from bench_server.runs.labels import Labels
from bench_server.runs.models import Run
from bench_server.tracks import keeping
from bench_server.web.serving import WebServer
from bench_track.records import pack_note
from checkpoint_tools import note_of, write_checkpoint
from django.conf import settings
from free_ports import free_port
from run_tools import new_run, store
from server_tools import new_project, new_user
from tracked_runs import track
from uuid6 import uuid7

PATIENCE_SECONDS = 120.0


@pytest.fixture(scope="module")
def port(server_address: str) -> Iterator[int]:
    free = free_port()
    server = WebServer([f"127.0.0.1:{free}"])
    yield free
    server.stop()


@pytest.fixture
def user(server_address: str) -> User:
    return new_user()


@pytest.fixture
def project(user: User) -> Project:
    return new_project(user)


@contextlib.contextmanager
def asked(port: int, user: User, path: str, **headers: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("localhost", port, timeout=PATIENCE_SECONDS)
    secret = accounts.create_login(user, "test").secret
    connection.request("GET", path, headers={"Cookie": f"{settings.LOGIN_COOKIE_NAME}={secret}", **headers})
    answer = connection.getresponse()
    yield answer
    answer.close()
    connection.close()


def get(port: int, user: User, path: str, **headers: str) -> tuple[int, Message, bytes]:
    with asked(port, user, path, **headers) as answer:
        return answer.status, answer.headers, answer.read()


@dataclass
class Listener:
    """A browser that listens; what it was told, as kind, mark and data."""

    answer: http.client.HTTPResponse
    told: list[tuple[str, str, Any]] = field(default_factory=list)

    def next(self) -> tuple[str, str, Any]:
        fields: dict[str, str] = {}
        while True:
            line = self.answer.readline().decode()
            assert line, f"the stream has ended after {self.told}"
            name, _, value = line.rstrip("\n").partition(": ")
            if line == "\n" and "event" in fields:
                self.told.append((fields["event"], fields["id"], json.loads(fields["data"])))
                return self.told[-1]
            if name:
                fields[name] = value


@contextlib.contextmanager
def listening(port: int, user: User, path: str, **headers: str) -> Iterator[Listener]:
    with asked(port, user, path, **headers) as answer:
        assert (answer.status, answer.getheader("Content-Type")) == (200, "text/event-stream")
        yield Listener(answer)


def events_of(run: Run) -> str:
    return f"/projects/{run.project_id}/runs/{run.pk}/events"


def test_a_change_of_a_run_is_told_once(port: int, user: User, project: Project) -> None:
    run = new_run(project)
    with listening(port, user, f"{events_of(run)}?mark=1.0//") as listener:
        services.stop(run, user)
        kind, mark, _ = listener.next()
        assert (kind, mark) == ("run", "1.2//")
        services.resume(run, run.attempts.get().pk)
        assert listener.next()[:2] == ("run", "2.0//")


def test_who_comes_again_misses_nothing_of_a_log(port: int, user: User, project: Project) -> None:
    run = new_run(project)
    attempt = run.attempts.get()
    path = f"{events_of(run)}?attempt=1&mark=1.0/0.0/"
    log_store.append(attempt, 0, [b"one\n 5%|"])
    with listening(port, user, path) as listener:
        kind, mark, data = listener.next()
        assert (kind, data["lines"]) == ("log", [[0, "one"], [4, " 5%|"]])
    log_store.append(attempt, 8, [b"\r 9%|\ntwo\n"])
    headers = {"Last-Event-ID": mark}
    with listening(port, user, path, **headers) as listener:
        _, mark, data = listener.next()
        assert (data["start"], data["lines"]) == (4, [[4, " 9%|"], [14, "two"]])
        log_store.append(attempt, 18, [b"three\n"])
        assert listener.next()[2]["lines"] == [[18, "three"]]


def test_who_is_far_behind_gets_the_end_of_a_log(port: int, user: User, project: Project) -> None:
    run = new_run(project)
    log_store.append(run.attempts.get(), 0, [b"x" * 99 + b"\n"] * 100_000)
    with listening(port, user, f"{events_of(run)}?attempt=1&mark=1.0/0.0/") as listener:
        _, _, data = listener.next()
        assert data["skips"]
        assert data["end"] == data["size"] == 10_000_000
        assert len(data["lines"]) < 1000


def test_a_deleted_run_is_gone(port: int, user: User, project: Project) -> None:
    run = new_run(project)
    services.stop(run, user)
    with listening(port, user, f"{events_of(run)}?mark=1.2//") as listener:
        services.delete_run(run)
        assert listener.next()[0] == "gone"


def test_the_table_is_told_of_each_run(port: int, user: User, project: Project) -> None:
    with listening(port, user, f"/projects/{project.pk}/runs/events?mark=0.0.0/") as listener:
        run = new_run(project)
        assert listener.next()[0] == "runs"
        services.stop(run, user)
        assert listener.next()[0] == "runs"


@pytest.mark.parametrize("has_news", [False, True])
@pytest.mark.parametrize("how", ["login", "membership"])
def test_who_may_no_longer_look_is_told_nothing_more(
    port: int, user: User, project: Project, how: str, has_news: bool
) -> None:
    run, guest = new_run(project), new_user()
    projects.set_member(project, guest.username, projects.Role.MEMBER)
    with listening(port, guest, f"{events_of(run)}?mark=1.0//") as listener:
        if how == "login":
            Token.objects.filter(user=guest).delete()
        else:
            projects.remove_member(project, guest.username, by=user)
        if has_news:
            services.stop(run, user)
        assert listener.next()[0] == "gone"
        assert listener.answer.read() == b""


def test_a_server_that_ends_does_not_wait_for_open_pages(user: User, project: Project) -> None:
    port = free_port()
    server = WebServer([f"127.0.0.1:{port}"])
    run = new_run(project)
    with listening(port, user, f"{events_of(run)}?mark=1.0//") as listener:
        ends = threading.Thread(target=server.stop)
        ends.start()
        assert listener.answer.read() == b"retry: 1000\n\n"
        ends.join(PATIENCE_SECONDS)
        assert not ends.is_alive()


def test_a_file_is_sent_by_ranges(port: int, user: User, project: Project) -> None:
    run = new_run(project)
    folder = settings.FOLDER.runs / str(run.pk) / "output"
    folder.mkdir(parents=True)
    content = bytes(range(256)) * 12_000
    (folder / "m\xf6del.pt").write_bytes(content)
    path = f"/projects/{project.pk}/runs/{run.pk}/files/output/m%C3%B6del.pt"
    status, headers, body = get(port, user, path)
    assert (status, body == content) == (200, True)
    assert headers["Content-Disposition"] == "attachment; filename*=utf-8''m%C3%B6del.pt"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    for span, start, end in (("0-0", 0, 1), ("1000-", 1000, None), ("-5", -5, None), ("9-99999999", 9, None)):
        status, _, body = get(port, user, path, Range=f"bytes={span}")
        assert (status, body == content[start:end]) == (206, True), span
    status, headers, _ = get(port, user, path, Range="bytes=99999999-")
    assert (status, headers["Content-Range"]) == (416, f"bytes */{len(content)}")
    assert get(port, user, path, Range="lines=1-2")[0] == 200
    (folder / "empty").touch()
    assert get(port, user, f"/projects/{project.pk}/runs/{run.pk}/files/output/empty")[::2] == (200, b"")


def test_kept_checkpoints_of_runs_from_elsewhere_are_downloaded(
    port: int, user: User, project: Project, tmp_path: Path
) -> None:
    run, _ = external.start(project, user, uuid7(), labels=Labels(), command=("train.py",))
    files = {"net/weights #1": bytes(range(256)) * 4_000, "args": b""}
    kept, other = (write_checkpoint(tmp_path, step, files) for step in (1, 2))
    track(run, *(pack_note(note_of(one)) for one in (kept, other)))
    digests = [store(project, (kept.folder / file.path).read_bytes()) for file in kept.files]
    keeping.keep(run, kept.name, kept.document(), digests, unannounced=False)
    at = f"/projects/{project.pk}/runs/{run.pk}/files"
    page = get(port, user, at)[2].decode()
    assert f'href="?q={kept.name}"' in page
    assert f'href="?q={other.name}"' not in page
    assert "Where it was made" in page
    listed = get(port, user, f"{at}?q={kept.name}")[2].decode()
    for path, content in (*files.items(), ("checkpoint.json", kept.document())):
        address = f"{at}/checkpoints/{kept.name}/{quote(path)}"
        assert f'href="{address}"' in listed
        assert get(port, user, address)[::2] == (200, content)
    ranged = get(port, user, f"{at}/checkpoints/{kept.name}/checkpoint.json", Range="bytes=5-9")
    assert ranged[::2] == (206, kept.document()[5:10])
    for path in (f"{other.name}/args", f"{kept.name}/none", kept.name, "x/args"):
        assert get(port, user, f"{at}/checkpoints/{path}")[0] == 404
    assert get(port, new_user(), f"{at}/checkpoints/{kept.name}/args")[0] == 404


def test_a_log_is_sent_as_it_was_written(port: int, user: User, project: Project) -> None:
    run = new_run(project)
    log_store.append(run.attempts.get(), 0, [b"\x00 5%|\r 9%|\n"])
    _, headers, body = get(port, user, f"/projects/{project.pk}/runs/{run.pk}/log/file")
    assert body == b"\x00 5%|\r 9%|\n"
    assert headers["Content-Disposition"] == f'attachment; filename="{run.name}-1.log"'
