"""Streams that wait have no connection to the database, however many they are."""

import contextlib
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import pytest
from bench_protos.data.v1 import datasets_pb2 as data_pb2
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub
from bench_protos.runs.v1 import runs_pb2 as pb
from bench_protos.runs.v1.runs_pb2_grpc import RunServiceStub
from bench_server.accounts import services as accounts
from bench_server.accounts.models import User
from bench_server.looking import LOOKERS, look
from bench_server.projects.models import Project
from bench_server.runs import log_store, services
from bench_server.runs.models import Run
from bench_server.web import live
from bench_server.web.serving import WebServer
from blake3 import blake3
from django.conf import settings
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from free_ports import free_port
from run_tools import new_run
from server_tools import channel_with, new_project, new_user

STREAMS = 16
"""Many more than threads that look."""

PATIENCE_SECONDS = 60.0


@pytest.fixture
def user(server_address: str) -> User:
    return new_user()


@pytest.fixture
def project(user: User) -> Project:
    return new_project(user)


@pytest.fixture
def stub(server_address: str, user: User) -> Iterator[RunServiceStub]:
    with channel_with(server_address, accounts.create_login(user, "test").secret) as channel:
        yield RunServiceStub(channel)


@pytest.fixture
def port(server_address: str) -> Iterator[int]:
    free = free_port()
    server = WebServer([f"127.0.0.1:{free}"])
    yield free
    server.stop()


def connections() -> int:
    """To the database: PostgreSQL's own count; of SQLite what this process has open."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            found: int = cursor.fetchone()[0]
            return found
    wrappers = [found for found in gc.get_objects() if issubclass(type(found), BaseDatabaseWrapper)]
    return sum(wrapper.connection is not None for wrapper in wrappers)


def come_down_to(most: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := connections()) > most:
        assert time.monotonic() < deadline, f"{found} connections, and {most} are enough"
        time.sleep(0.05)


def watch(stub: RunServiceStub, run: Run) -> Any:
    """A stream that waits: it has told what there is."""
    call = stub.WatchRun(pb.WatchRunRequest(project_id=str(run.project_id), run_id=str(run.pk)))
    assert next(call).run.run_id == str(run.pk)
    return call


def follow(stub: RunServiceStub, run: Run) -> Any:
    request = pb.ReadLogRequest(
        project_id=str(run.project_id), run_id=str(run.pk), source=pb.LOG_SOURCE_OUTPUT, follow=True
    )
    call = stub.ReadLog(request)
    assert next(call).data == b"so far\n"
    return call


@pytest.mark.parametrize("begin", [watch, follow])
def test_calls_that_wait(
    stub: RunServiceStub, user: User, project: Project, begin: Callable[[RunServiceStub, Run], Any]
) -> None:
    run = new_run(project)
    log_store.append(run.attempts.get(), 0, [b"so far\n"])
    most = connections() + LOOKERS
    calls = [begin(stub, run) for _ in range(STREAMS)]
    come_down_to(most)
    services.stop(run, user)
    last = [list(call)[-1] for call in calls]
    if begin is watch:
        assert {answer.run.attempts[0].reason for answer in last} == {"stopped"}
    else:
        assert all(answer.complete for answer in last)


def test_uploads_that_wait(server_address: str, user: User, project: Project) -> None:
    contents = [os.urandom(1000) for _ in range(STREAMS)]
    digests = [blake3(content).hexdigest() for content in contents]
    goes_on = threading.Event()

    def messages(content: bytes, digest: str) -> Iterator[data_pb2.UploadBlobRequest]:
        yield data_pb2.UploadBlobRequest(project_id=str(project.pk), digest=digest, size_bytes=len(content))
        yield data_pb2.UploadBlobRequest(data=content[:500])
        goes_on.wait(PATIENCE_SECONDS)
        yield data_pb2.UploadBlobRequest(data=content[500:])

    with channel_with(server_address, accounts.create_login(user, "test").secret) as channel:
        blobs = DatasetServiceStub(channel)
        most = connections()
        calls = [blobs.UploadBlob.future(messages(*one)) for one in zip(contents, digests, strict=True)]
        request = data_pb2.FindBlobsRequest(project_id=str(project.pk), digests=digests)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while {state.received_bytes for state in blobs.FindBlobs(request).blobs} != {500}:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        come_down_to(most)
        goes_on.set()
        assert {call.result().received_bytes for call in calls} == {1000}
        assert all(state.complete for state in blobs.FindBlobs(request).blobs)


def test_pages_that_wait(port: int, user: User, project: Project) -> None:
    run = new_run(project)
    headers = {"Cookie": f"{settings.LOGIN_COOKIE_NAME}={accounts.create_login(user, 'test').secret}"}
    most = connections() + live.LOOKERS
    with contextlib.ExitStack() as opened:
        answers = []
        for _ in range(STREAMS):
            browser = opened.enter_context(
                contextlib.closing(HTTPConnection("localhost", port, timeout=PATIENCE_SECONDS))
            )
            browser.request("GET", f"/projects/{project.pk}/runs/{run.pk}/events?mark=1.0//", headers=headers)
            answers.append(opened.enter_context(contextlib.closing(browser.getresponse())))
            assert answers[-1].readline() == b"retry: 1000\n"
        come_down_to(most)
        services.stop(run, user)
        for answer in answers:
            assert [answer.readline() for _ in range(3)][1:] == [b"id: 1.2//\n", b"event: run\n"]


def test_a_look_goes_on_when_its_connection_has_ended(user: User) -> None:
    broken: list[bool] = []

    def read() -> int:
        return User.objects.filter(pk=user.pk).count()

    def break_once_and_read() -> int:
        if not broken:
            assert connection.connection is not None
            connection.connection.close()
            broken.append(True)
        return read()

    _have_every_looker_connected(read)
    assert look(break_once_and_read) == look(read) == 1
    assert broken


def _have_every_looker_connected(read: Callable[[], int]) -> None:
    """Each look meets the others, so that none of the threads has two of them."""
    together = threading.Barrier(LOOKERS)

    def read_together() -> int:
        together.wait(PATIENCE_SECONDS)
        return read()

    with ThreadPoolExecutor(LOOKERS) as callers:
        assert list(callers.map(look, [read_together] * LOOKERS)) == [1] * LOOKERS
