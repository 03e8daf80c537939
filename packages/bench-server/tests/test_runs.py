"""bench.runs.v1: runs submitted, found, watched, stopped, tried again and deleted."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from bench_protos.data.v1 import datasets_pb2
from bench_protos.projects.v1 import projects_pb2
from bench_protos.runs.v1 import runs_pb2 as pb
from bench_protos.runs.v1.runs_pb2_grpc import RunServiceStub
from bench_server.runs import services, transitions
from bench_server.runs.models import Attempt
from bench_server.runs.states import State
from run_tools import bundle
from server_tools import channel_with, refusal
from test_code import Coder
from uuid6 import uuid7

FIELD = ("INVALID_ARGUMENT", "FIELD_INVALID")


class Trainer(Coder):
    """An account with a project that has code."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.runs = RunServiceStub(channel_with(address, self.account.token))
        self.digest = self.upload(bundle(train="print(1)"))

    def submission(self, name: str = "", **spec: Any) -> pb.SubmitRunRequest:
        fields = {"bundle_digest": self.digest, "command": ["python", "train.py"], **spec}
        return pb.SubmitRunRequest(
            project_id=self.id, run_id=str(uuid7()), name=name, spec=pb.RunSpec(**fields)
        )

    def submit(self, name: str = "", **spec: Any) -> pb.Run:
        return self.runs.SubmitRun(self.submission(name, **spec)).run

    def get(self, run: str) -> pb.Run:
        return self.runs.GetRun(pb.GetRunRequest(project_id=self.id, run=run)).run

    def names(self, **fields: Any) -> list[str]:
        found = self.runs.ListRuns(pb.ListRunsRequest(project_id=self.id, **fields))
        return [run.name for run in found.runs]

    def stop(self, run: pb.Run) -> pb.Run:
        return self.runs.StopRun(pb.StopRunRequest(project_id=self.id, run_id=run.run_id)).run

    def watch(self, run: pb.Run) -> Any:
        return self.runs.WatchRun(pb.WatchRunRequest(project_id=self.id, run_id=run.run_id))


@pytest.fixture(scope="module")
def shared(server_address: str) -> Trainer:
    return Trainer(server_address)


@pytest.fixture
def project(server_address: str) -> Trainer:
    return Trainer(server_address)


def last(run: pb.Run) -> Attempt:
    return Attempt.objects.filter(run=UUID(run.run_id)).order_by("-number")[0]


def advance(run: pb.Run, *states: State, **fields: Any) -> None:
    for state in states:
        assert transitions.move(last(run).pk, state, fencing=None, **fields)


def end(run: pb.Run, reason: str = "succeeded") -> None:
    advance(run, State.BUILDING, State.STARTING)
    assert services.end_attempt(last(run), reason, "so it was", fencing=0)


def test_a_run_is_what_was_submitted(project: Trainer, tmp_path: Path) -> None:
    version = project.push_numbers(tmp_path, 3)
    parent = project.submit()
    request = project.submission(
        "first try",
        datasets=[pb.RunDataset(dataset="train", version_number=1)],
        environment={"LR": "0.1"},
        gpu_count=1,
        cpu_millis=1500,
        memory_bytes=1 << 30,
        grace_seconds=5,
        limit_seconds=3600,
        retry_count=2,
        project_version_number=3,
        git_commit="a" * 40,
        git_dirty=True,
        lock="torch==2.13.0",
    )
    request.tags.extend(["b", "a", "b"])
    request.group, request.parent_run_id = "sweep", parent.run_id
    answer = project.runs.SubmitRun(request)
    assert not answer.existed
    run = project.get("First Try")
    assert run == answer.run
    assert run.HasField("create_time")
    assert run.attempts[0].HasField("create_time")
    run.ClearField("create_time")
    run.attempts[0].ClearField("create_time")
    request.spec.datasets[0].fingerprint = version.fingerprint
    assert run == pb.Run(
        run_id=request.run_id,
        name="first try",
        tags=["a", "b"],
        group="sweep",
        parent_run_id=parent.run_id,
        spec=request.spec,
        attempts=[pb.Attempt(attempt_number=1, state=pb.RUN_STATE_QUEUED, lock="torch==2.13.0")],
        state=pb.RUN_STATE_QUEUED,
        creator=project.account.username,
    )


def test_the_same_id_and_spec_are_the_same_run(shared: Trainer) -> None:
    request = shared.submission(f"same {uuid4().hex}", gpu_count=1)
    made = shared.runs.SubmitRun(request).run
    with ThreadPoolExecutor(4) as threads:
        again = list(threads.map(shared.runs.SubmitRun, [request] * 8))
    assert all(answer.existed and answer.run == made for answer in again)
    request.spec.gpu_count = 2
    assert refusal(shared.runs.SubmitRun, request) == ("ALREADY_EXISTS", "RUN_ID_TAKEN")
    other = shared.submission(request.name.upper())
    assert refusal(shared.runs.SubmitRun, other) == ("ALREADY_EXISTS", "RUN_NAME_TAKEN")


def test_an_id_of_another_project_is_taken(shared: Trainer, project: Trainer) -> None:
    request = project.submission()
    request.run_id = shared.submit().run_id
    assert refusal(project.runs.SubmitRun, request) == ("ALREADY_EXISTS", "RUN_ID_TAKEN")


def test_runs_without_a_name_get_one(project: Trainer) -> None:
    project.submit("RUN-2")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: project.submit(), range(4)))
    assert sorted(project.names()) == ["RUN-2", "run-3", "run-4", "run-5", "run-6"]


def test_runs_are_found_by_id_by_its_beginning_and_by_name(project: Trainer) -> None:
    run, request = project.submit("7e57ab1e"), project.submission()
    request.run_id = run.run_id[:-1] + ("0" if run.run_id[-1] != "0" else "1")
    other = project.runs.SubmitRun(request).run
    not_found = ("NOT_FOUND", "RUN_NOT_FOUND")
    for text in (run.run_id, run.run_id.upper(), run.run_id.replace("-", ""), "7E57AB1E"):
        assert project.get(text).name == "7e57ab1e"
    alone = project.submission()
    alone.run_id = str(uuid4())
    project.runs.SubmitRun(alone)
    assert project.get(alone.run_id[:8]).run_id == alone.run_id
    for text in (run.run_id[:8], run.run_id[:-1], alone.run_id[:7], "", "no", "\0", str(uuid4()), "7e57ab1f"):
        assert refusal(project.runs.GetRun, pb.GetRunRequest(project_id=project.id, run=text)) == not_found
    stranger = pb.GetRunRequest(project_id=Trainer(project.address).id, run=other.run_id)
    assert refusal(project.runs.GetRun, stranger) == ("NOT_FOUND", "PROJECT_NOT_FOUND")


def test_lists_are_paged_and_filtered(project: Trainer) -> None:
    made = []
    for number, tags in enumerate((["a"], ["a", "b"], [], ["b"])):
        request = project.submission(str(number), lock="x==1")
        request.tags.extend(tags)
        made.append(project.runs.SubmitRun(request).run)
    project.stop(made[0])
    end(made[1], "failed_exit")
    assert project.names() == ["3", "2", "1", "0"]
    assert project.names(tags=["a"]) == ["1", "0"]
    assert project.names(tags=["b", "a"]) == ["1"]
    assert project.names(states=[pb.RUN_STATE_QUEUED]) == ["3", "2"]
    assert project.names(states=[pb.RUN_STATE_FAILED, pb.RUN_STATE_STOPPED], tags=["a"]) == ["1", "0"]
    listing = pb.ListRunsRequest(project_id=project.id, page_size=3)
    first = project.runs.ListRuns(listing)
    listing.page_token = first.next_page_token
    second = project.runs.ListRuns(listing)
    assert [run.name for run in [*first.runs, *second.runs]] == ["3", "2", "1", "0"]
    assert (second.next_page_token, first.runs[0].spec.lock, first.runs[0].attempts[0].lock) == ("", "", "")
    for tags in (["\0"], [""], ["x" * 101]):
        assert refusal(project.runs.ListRuns, pb.ListRunsRequest(project_id=project.id, tags=tags)) == FIELD
    none = pb.ListRunsRequest(project_id=project.id, states=[pb.RUN_STATE_UNSPECIFIED])
    assert refusal(project.runs.ListRuns, none) == FIELD


def test_what_cannot_be_a_run(shared: Trainer) -> None:
    specs: list[tuple[dict[str, Any], tuple[str, str]]] = [
        ({"bundle_digest": "x"}, FIELD),
        ({"bundle_digest": "0" * 64}, ("FAILED_PRECONDITION", "BLOBS_MISSING")),
        ({"bundle_digest": shared.upload(b"no zip")}, ("INVALID_ARGUMENT", "BUNDLE_INVALID")),
        ({"datasets": [pb.RunDataset(dataset="x", version_number=1)]}, ("NOT_FOUND", "DATASET_NOT_FOUND")),
        ({"datasets": [pb.RunDataset(dataset="x", version_number=0)]}, FIELD),
        ({"datasets": [pb.RunDataset(dataset="x", version_number=1)] * 2}, FIELD),
        ({"command": []}, FIELD),
        ({"command": ["", "x"]}, FIELD),
        ({"command": ["x\0"]}, FIELD),
        ({"command": ["x" * 70_000]}, FIELD),
        ({"environment": {"1X": "y"}}, FIELD),
        ({"environment": {"BENCH_TOKEN": "y"}}, FIELD),
        ({"environment": {"X": "\0"}}, FIELD),
        ({"gpu_count": -1}, FIELD),
        ({"gpu_count": 1000}, FIELD),
        ({"memory_bytes": -1}, FIELD),
        ({"retry_count": 101}, FIELD),
        ({"git_commit": "HEAD"}, FIELD),
        ({"lock": "x" * 2_000_000}, FIELD),
    ]
    cases = [(shared.submission(**spec), expected) for spec, expected in specs]
    for name, value in {
        "run_id": "x",
        "name": "../x",
        "group": "x" * 101,
        "tags": [""],
        "parent_run_id": "x",
    }.items():
        request = shared.submission()
        getattr(request, name).extend(value) if name == "tags" else setattr(request, name, value)
        cases.append((request, FIELD))
    orphan = shared.submission()
    orphan.parent_run_id = str(uuid7())
    cases.append((orphan, ("NOT_FOUND", "RUN_NOT_FOUND")))
    before = shared.names(page_size=1000)
    for request, expected in cases:
        assert refusal(shared.runs.SubmitRun, request) == expected
    assert shared.names(page_size=1000) == before


def test_no_run_begins_on_a_full_disk(shared: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench_server.runs import disk

    run = shared.submit()
    shared.stop(run)
    monkeypatch.setattr(disk, "ROOM_SHARE", 1.0)
    monkeypatch.setattr(disk, "ROOM_BYTES", 1 << 60)
    full = ("RESOURCE_EXHAUSTED", "DISK_FULL")
    assert refusal(shared.runs.SubmitRun, shared.submission()) == full
    again = pb.ResumeRunRequest(project_id=shared.id, run_id=run.run_id, request_id=str(uuid4()))
    assert refusal(shared.runs.ResumeRun, again) == full


def test_a_stop_is_recorded_with_who_asked(shared: Trainer) -> None:
    run = shared.submit()
    stopped = shared.stop(run)
    attempt = stopped.attempts[0]
    assert (stopped.state, attempt.reason, attempt.stopper) == (
        pb.RUN_STATE_STOPPED,
        "stopped",
        shared.account.username,
    )
    assert shared.stop(run) == stopped
    run = shared.submit()
    advance(run, State.BUILDING)
    asked = shared.stop(run)
    assert (asked.state, asked.attempts[0].stopper) == (pb.RUN_STATE_BUILDING, shared.account.username)


def test_a_run_that_has_ended_is_tried_again_once_for_each_request(shared: Trainer) -> None:
    run = shared.submit()
    request = pb.ResumeRunRequest(project_id=shared.id, run_id=run.run_id, request_id=str(uuid4()))
    assert refusal(shared.runs.ResumeRun, request) == ("FAILED_PRECONDITION", "RUN_NOT_ENDED")
    advance(run, State.BUILDING, State.STARTING, lock="torch==2.13.0")
    services.end_attempt(last(run), "failed_exit", "exit code 3", fencing=0, exit_code=3)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(shared.runs.ResumeRun, [request] * 4))
    assert all(answer.run == answers[0].run for answer in answers)
    first, second = answers[0].run.attempts
    assert (first.reason, first.message, first.exit_code, first.has_exit_code) == (
        "failed_exit",
        "exit code 3",
        3,
        True,
    )
    assert (second.attempt_number, second.state, second.lock) == (2, pb.RUN_STATE_QUEUED, "torch==2.13.0")
    end(run)
    assert len(shared.runs.ResumeRun(request).run.attempts) == 2
    request.request_id = "x"
    assert refusal(shared.runs.ResumeRun, request) == FIELD


def test_a_watcher_sees_every_change_and_the_end(shared: Trainer) -> None:
    run = shared.submit(retry_count=1)
    seen: list[pb.Run] = []
    changed = threading.Condition()

    def watch() -> None:
        for answer in shared.watch(run):
            with changed:
                seen.append(answer.run)
                changed.notify()

    watcher = threading.Thread(target=watch)
    watcher.start()

    def wait_for(number: int, state: State) -> None:
        with changed:
            assert changed.wait_for(
                lambda: bool(seen) and (len(seen[-1].attempts), seen[-1].state) == (number, state.value), 20
            )

    wait_for(1, State.QUEUED)
    for state in (State.BUILDING, State.STARTING, State.RUNNING):
        advance(run, state)
        wait_for(1, state)
    services.end_attempt(last(run), "lost", "gone", fencing=0)
    wait_for(2, State.QUEUED)
    end(run)
    wait_for(2, State.SUCCEEDED)
    watcher.join(20)
    assert not watcher.is_alive()
    assert [answer.run for answer in shared.watch(run)] == [shared.get(run.run_id)]


def test_a_stream_that_nobody_reads_any_more_is_given_up(
    shared: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench_server.rpc import calls

    streams = threading.BoundedSemaphore(1)
    monkeypatch.setattr(calls, "_streams", streams)
    run = shared.submit()
    stream = shared.watch(run)
    next(stream)
    stream.cancel()
    assert streams.acquire(timeout=60)


def test_streams_that_wait_end_with_the_server(server_address: str, shared: Trainer, tmp_path: Path) -> None:
    from bench_server.rpc.serving import RpcServer

    socket = f"unix:{tmp_path}/rpc.sock"
    server = RpcServer([socket])
    run = shared.submit()
    stub = RunServiceStub(channel_with(socket, shared.account.token))
    stream: Iterator[pb.WatchRunResponse] = stub.WatchRun(
        pb.WatchRunRequest(project_id=shared.id, run_id=run.run_id)
    )
    next(stream)
    begun = time.monotonic()
    server.stop(60)
    assert time.monotonic() - begun < 60  # it was not the grace that ended it
    with pytest.raises(grpc.RpcError) as caught:
        next(stream)
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_deleted_run_leaves_nothing(shared: Trainer) -> None:
    from django.conf import settings

    run = shared.submit()
    request = pb.DeleteRunRequest(project_id=shared.id, run_id=run.run_id)
    assert refusal(shared.runs.DeleteRun, request) == ("FAILED_PRECONDITION", "RUN_NOT_ENDED")
    shared.stop(run)
    folders = [settings.FOLDER.runs / run.run_id, settings.FOLDER.logs / run.run_id]
    for folder in folders:
        (folder / "work" / "closed").mkdir(parents=True)
        (folder / "work" / "closed" / "file").touch()
        (folder / "work" / "closed").chmod(0)
    shared.runs.DeleteRun(request)
    assert refusal(shared.runs.DeleteRun, request) == ("NOT_FOUND", "RUN_NOT_FOUND")
    assert [folder for folder in folders if folder.exists()] == []


def test_what_a_run_needs_is_kept(project: Trainer, tmp_path: Path) -> None:
    import datetime

    from bench_server.datasets.garbage import collect_garbage
    from bench_server.datasets.models import Blob, ProjectBlob
    from django.utils import timezone

    project.push_numbers(tmp_path, 3)
    run = project.submit(datasets=[pb.RunDataset(dataset="train", version_number=1)])
    delete = datasets_pb2.DeleteVersionRequest(project_id=project.id, dataset="train", version_number=1)
    assert refusal(project.stub.DeleteVersion, delete) == ("FAILED_PRECONDITION", "VERSION_PINNED")
    then = timezone.now() - datetime.timedelta(days=2)
    ProjectBlob.objects.filter(project=UUID(project.id)).update(create_time=then)
    Blob.objects.filter(projects__project=UUID(project.id)).update(create_time=then)
    collect_garbage(remove=True)
    assert project.state(project.digest)[1]
    delete.force = True
    project.stub.DeleteVersion(delete)
    assert project.get(run.run_id).spec.datasets[0].version_number == 1
    project.stop(run)
    project.runs.DeleteRun(pb.DeleteRunRequest(project_id=project.id, run_id=run.run_id))
    collect_garbage(remove=True)
    assert not project.state(project.digest)[1]


def test_a_project_is_deleted_with_its_runs(project: Trainer) -> None:
    run = project.submit()
    request = projects_pb2.DeleteProjectRequest(project_id=project.id)
    refused = refusal(project.account.projects.DeleteProject, request)
    assert refused == ("FAILED_PRECONDITION", "RUN_NOT_ENDED")
    project.stop(run)
    project.account.delete_project(project.id)
    assert not Attempt.objects.filter(run=UUID(run.run_id)).exists()


def test_names_are_the_same_however_they_are_composed(project: Trainer) -> None:
    run = project.submit("größe".replace("ö", "o\u0308"))
    assert run.name == "größe"
    assert project.get("gro\u0308ße") == run
