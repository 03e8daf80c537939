"""Runs that were started elsewhere, as a program of any language keeps them: by the contract."""

import datetime
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from bench_auth import call, translate
from bench_protos.runs.v1 import runs_pb2
from bench_protos.runs.v1.runs_pb2_grpc import RunServiceStub
from bench_protos.tracks.v1 import tracks_pb2 as pb
from bench_protos.tracks.v1.tracks_pb2_grpc import TrackServiceStub
from bench_server.runs import external, transitions
from bench_server.runs.models import Attempt, Run
from bench_server.runs.states import EXTERNAL, EXTERNAL_REASONS, FOLLOWING_EXTERNAL, REASONS, State, allowed
from bench_track.records import pack_note, pack_order
from django.utils import timezone
from run_tools import new_run
from server_tools import Account, channel_with, new_account, new_project, new_user, refusal
from track_tools import WRITER, points_file
from uuid6 import uuid7


@pytest.fixture(scope="module")
def account(server_address: str) -> Account:
    return new_account(server_address)


@pytest.fixture(scope="module")
def project_id(account: Account) -> str:
    return account.create_project("elsewhere").id


@pytest.fixture(scope="module")
def tracks(server_address: str, account: Account) -> TrackServiceStub:
    return TrackServiceStub(channel_with(server_address, account.token))


@pytest.fixture(scope="module")
def runs(server_address: str, account: Account) -> RunServiceStub:
    return RunServiceStub(channel_with(server_address, account.token))


@pytest.fixture
def run_id(tracks: TrackServiceStub, project_id: str) -> str:
    return started(tracks, project_id).run_id


def started(tracks: TrackServiceStub, project_id: str, **fields: Any) -> runs_pb2.Run:
    request = pb.StartRunRequest(project_id=project_id, run_id=str(uuid7()), command=["train.py"], **fields)
    return call(tracks.StartRun, request).run


def append(tracks: TrackServiceStub, project_id: str, run_id: str, start: int, *pieces: bytes) -> Any:
    def messages() -> Iterator[pb.AppendTrackRequest]:
        for number, data in enumerate(pieces):
            names = {"project_id": project_id, "run_id": run_id, "writer": WRITER, "start_offset": start}
            yield pb.AppendTrackRequest(data=data, **({} if number else names))  # type: ignore[arg-type]

    return tracks.AppendTrack(messages(), timeout=60)


def age(run_id: str, seconds: float) -> None:
    past = timezone.now() - datetime.timedelta(seconds=seconds)
    Attempt.objects.filter(run=UUID(run_id)).update(last_contact_time=past)


def test_such_a_run_begins_as_running_and_once(tracks: TrackServiceStub, project_id: str) -> None:
    request = pb.StartRunRequest(
        project_id=project_id, run_id=str(uuid7()), name="at home", command=["train.py", "--lr", "1"]
    )
    request.start_time.FromSeconds(1_700_000_000)
    first, second = call(tracks.StartRun, request), call(tracks.StartRun, request)
    assert (first.existed, second.existed) == (False, True)
    assert first.run == second.run
    run = first.run
    assert (run.name, run.state, list(run.spec.command)) == (
        "at home",
        runs_pb2.RUN_STATE_RUNNING,
        ["train.py", "--lr", "1"],
    )
    (attempt,) = run.attempts
    assert (attempt.engine, attempt.start_time.seconds) == ("external", 1_700_000_000)
    request.run_id = str(uuid7())
    assert refusal(tracks.StartRun, request) == ("ALREADY_EXISTS", "RUN_NAME_TAKEN")


def test_no_runner_takes_it(run_id: str) -> None:
    assert run_id not in {str(attempt.run_id) for attempt in transitions.lease("a runner", 30)}
    transitions.release("a runner")


def test_its_track_comes_in_and_is_read(tracks: TrackServiceStub, project_id: str, run_id: str) -> None:
    notes = pack_note(
        {"type": "checkpoint", "name": "1", "path": "c/1", "step": 5, "metric": 0.5}
    ) + pack_order(1, {"seed": 3})
    config = pack_note({"type": "config", "values": {"lr": 0.1}})
    data = points_file([float(number) for number in range(5000)], order=1) + notes + config
    answer = append(tracks, project_id, run_id, 0, data[:1000], data[1000:100_000], data[100_000:])
    assert (answer.received_bytes, answer.truncated) == (len(data), False)
    names: dict[str, Any] = {"project_id": project_id, "run_id": run_id}
    (series,) = call(tracks.ListSeries, pb.ListSeriesRequest(**names)).series
    assert (series.name, series.point_count, series.last, series.max) == ("loss", 5000, 4999.0, 4999.0)
    chart = pb.ReadChartRequest(**names, name="loss", column_count=100)
    (line,) = call(tracks.ReadChart, chart).lines
    assert (line.writer, len(line.step_numbers), line.max[-1], line.last[-1]) == (WRITER, 100, 4999.0, 4999.0)
    chart = pb.ReadChartRequest(**names, name="loss", first_step_number=10, last_step_number=12)
    (line,) = call(tracks.ReadChart, chart).lines
    assert [*line.step_numbers] == [10, 11, 12]
    points = list(tracks.ReadPoints(pb.ReadPointsRequest(**names), timeout=60))
    assert [value for part in points for value in part.values] == [float(number) for number in range(5000)]
    assert [*tracks.ReadPoints(pb.ReadPointsRequest(**names, names=["none"]), timeout=60)] == []
    (checkpoint,) = call(tracks.ListCheckpoints, pb.ListCheckpointsRequest(**names)).checkpoints
    assert (checkpoint.path, checkpoint.step_number, checkpoint.metric) == ("c/1", 5, 0.5)
    batch = call(tracks.FindBatch, pb.FindBatchRequest(**names, step_number=37))
    assert (batch.order_json, batch.epoch_number, batch.batch_number) == ('{"seed": 3}', 3, 7)
    nothing = pb.FindBatchRequest(**names, step_number=9000)
    assert refusal(tracks.FindBatch, nothing) == ("NOT_FOUND", "BATCH_NOT_FOUND")
    with pytest.raises(grpc.RpcError) as caught:
        append(tracks, project_id, run_id, len(data) + 1, b"x")
    assert translate(caught.value).metadata == {"received_bytes": str(len(data))}  # type: ignore[attr-defined]


def test_its_config_is_shown(
    tracks: TrackServiceStub, runs: RunServiceStub, project_id: str, run_id: str
) -> None:
    append(
        tracks, project_id, run_id, 0, points_file([]) + pack_note({"type": "config", "values": {"lr": 1}})
    )
    found = call(runs.GetRun, runs_pb2.GetRunRequest(project_id=project_id, run=run_id)).run
    assert found.config_json == '{"lr": 1}'


@pytest.mark.parametrize("reason", EXTERNAL_REASONS)
def test_it_ends_once(tracks: TrackServiceStub, project_id: str, run_id: str, reason: str) -> None:
    request = pb.FinishRunRequest(project_id=project_id, run_id=run_id, reason=reason, exit_code=3)
    request.has_exit_code = True
    request.end_time.FromSeconds(1_800_000_000)
    (attempt,) = call(tracks.FinishRun, request).run.attempts
    assert (attempt.state, attempt.reason, attempt.exit_code) == (REASONS[reason].state.value, reason, 3)
    assert (attempt.end_time.seconds, attempt.message) == (
        1_800_000_000,
        external.MEANING.get(reason, REASONS[reason].meaning),
    )
    later = pb.FinishRunRequest(project_id=project_id, run_id=run_id, reason="stopped", message="by hand")
    (again,) = call(tracks.FinishRun, later).run.attempts
    if reason == "lost":  # it was no end that anybody had seen
        assert (again.reason, again.message) == ("stopped", "by hand")
    else:
        assert again.reason == reason


def test_one_that_is_not_heard_of_is_lost_until_it_is(
    tracks: TrackServiceStub, project_id: str, run_id: str
) -> None:
    age(run_id, external.LOST_SECONDS - 60)
    external.mark_lost()
    assert Run.objects.get(pk=run_id).last_attempt.state == State.RUNNING.value
    age(run_id, external.LOST_SECONDS + 1)
    assert external.mark_lost() >= 1
    lost = Run.objects.get(pk=run_id).last_attempt
    assert (lost.state, lost.reason) == (State.FAILED.value, "lost")
    assert lost.message == "it was not heard of for 10 minutes"
    assert lost.end_time == lost.last_contact_time
    call(tracks.Heartbeat, pb.HeartbeatRequest(project_id=project_id, run_id=run_id))
    found = Run.objects.get(pk=run_id).last_attempt
    assert (found.state, found.reason, found.message, found.end_time) == (State.RUNNING.value, "", "", None)
    age(run_id, external.LOST_SECONDS + 1)
    external.mark_lost()
    append(tracks, project_id, run_id, 0, points_file([1.0]))
    assert Run.objects.get(pk=run_id).last_attempt.state == State.RUNNING.value


def test_the_server_does_what_it_can_and_no_more(
    tracks: TrackServiceStub, runs: RunServiceStub, project_id: str, run_id: str
) -> None:
    names: dict[str, Any] = {"project_id": project_id, "run_id": run_id}
    elsewhere = ("FAILED_PRECONDITION", "RUN_EXTERNAL")
    assert refusal(runs.StopRun, runs_pb2.StopRunRequest(**names)) == elsewhere
    resume = runs_pb2.ResumeRunRequest(**names, request_id=str(uuid4()))
    assert refusal(runs.ResumeRun, resume) == elsewhere
    delete = runs_pb2.DeleteRunRequest(**names)
    assert refusal(runs.DeleteRun, delete) == ("FAILED_PRECONDITION", "RUN_NOT_ENDED")
    assert not call(runs.ListArtifacts, runs_pb2.ListArtifactsRequest(**names)).artifacts
    call(tracks.FinishRun, pb.FinishRunRequest(**names, reason="succeeded"))
    assert refusal(runs.ResumeRun, resume) == elsewhere
    call(runs.DeleteRun, delete)
    assert refusal(tracks.Heartbeat, pb.HeartbeatRequest(**names)) == ("NOT_FOUND", "RUN_NOT_FOUND")


def test_what_the_server_runs_is_not_told_from_elsewhere(server_address: str) -> None:
    from bench_server.accounts import services as accounts

    user = new_user()
    run = new_run(new_project(user))
    stub = TrackServiceStub(channel_with(server_address, accounts.create_login(user, "test").secret))
    names: dict[str, Any] = {"project_id": str(run.project_id), "run_id": str(run.pk)}
    not_external = ("FAILED_PRECONDITION", "RUN_NOT_EXTERNAL")
    assert refusal(stub.Heartbeat, pb.HeartbeatRequest(**names)) == not_external
    assert refusal(stub.FinishRun, pb.FinishRunRequest(**names, reason="lost")) == not_external
    messages = iter([pb.AppendTrackRequest(**names, writer=WRITER, data=b"x")])
    assert refusal(stub.AppendTrack, messages) == not_external
    taken = pb.StartRunRequest(**names, command=["x"])
    assert refusal(stub.StartRun, taken) == ("ALREADY_EXISTS", "RUN_ID_TAKEN")


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"reason": "killed"}, "reason"), ({"reason": "lost", "message": "x" * 1001}, "message")],
)
def test_an_end_that_is_none_is_refused(
    tracks: TrackServiceStub, project_id: str, run_id: str, fields: dict[str, str], field: str
) -> None:
    request = pb.FinishRunRequest(project_id=project_id, run_id=run_id, **fields)  # type: ignore[arg-type]
    assert refusal(tracks.FinishRun, request) == ("INVALID_ARGUMENT", "FIELD_INVALID")


def test_the_table_of_such_runs_is_part_of_the_other() -> None:
    for before, following in FOLLOWING_EXTERNAL.items():
        for after in following:
            assert allowed(before, after) or (before, after) == (State.FAILED, State.RUNNING)
    assert {REASONS[reason].state for reason in EXTERNAL_REASONS} == {
        state for state in FOLLOWING_EXTERNAL if state is not State.RUNNING
    }
    assert EXTERNAL == "external"
