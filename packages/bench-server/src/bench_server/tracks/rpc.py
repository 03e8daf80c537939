"""bench.tracks.v1 on the server."""

import datetime
import json
import math
from collections.abc import Iterator

from bench_protos.tracks.v1 import tracks_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from bench_server.access import Caller, Rule, allow, uuid_of
from bench_server.errors import invalid
from bench_server.rpc.convert import digest_of, pieces_of, timestamp
from bench_server.rpc.paging import page_of_list
from bench_server.runs import external, services
from bench_server.runs.labels import Labels
from bench_server.runs.messages import run_message
from bench_server.runs.models import Attempt, Run
from bench_server.tracks import batches, charts, checkpoints, ingest, keeping
from bench_server.tracks.models import Checkpoint

DEFAULT_COLUMNS = 1000
MAX_RUNS = 1000
"""Asked about in one call."""


class TrackService:
    """The calls of the contract, by their names."""

    @allow(Rule.MEMBER)
    def StartRun(self, caller: Caller, request: pb.StartRunRequest) -> pb.StartRunResponse:
        """See the contract."""
        run, existed = external.start(
            caller.project,
            caller.user,
            uuid_of("run_id", request.run_id),
            labels=Labels(name=request.name, tags=tuple(request.tags), group=request.group),
            command=tuple(request.command),
            start_time=_time(request, "start_time"),
        )
        return pb.StartRunResponse(run=run_message(run), existed=existed)

    @allow(Rule.MEMBER)
    def Heartbeat(self, caller: Caller, request: pb.HeartbeatRequest) -> pb.HeartbeatResponse:
        """See the contract."""
        external.heard(_external(caller, request.run_id))
        return pb.HeartbeatResponse()

    @allow(Rule.MEMBER)
    def AppendTrack(
        self, caller: Caller, first: pb.AppendTrackRequest, rest: Iterator[pb.AppendTrackRequest]
    ) -> pb.AppendTrackResponse:
        """See the contract."""
        attempt = _external(caller, first.run_id)
        external.heard(attempt)
        appended = ingest.append(attempt, first.writer, first.start_offset, pieces_of(first, rest))
        return pb.AppendTrackResponse(received_bytes=appended.received, truncated=appended.truncated)

    @allow(Rule.MEMBER)
    def FinishRun(self, caller: Caller, request: pb.FinishRunRequest) -> pb.FinishRunResponse:
        """See the contract."""
        attempt = _external(caller, request.run_id)
        external.finish(
            attempt,
            request.reason,
            message=request.message,
            exit_code=request.exit_code if request.has_exit_code else None,
            end_time=_time(request, "end_time"),
        )
        return pb.FinishRunResponse(run=run_message(services.find_run(caller.project, attempt.run_id)))

    @allow(Rule.MEMBER)
    def KeepCheckpoint(self, caller: Caller, request: pb.KeepCheckpointRequest) -> pb.KeepCheckpointResponse:
        """See the contract."""
        digests = [digest_of("digests", digest) for digest in request.digests]
        run = _run(caller, request.run_id)
        kept, existed = keeping.keep(
            run, request.name, request.document, digests, unannounced=request.unannounced
        )
        message = _checkpoint_message(kept, checkpoints.Place.SERVER)
        return pb.KeepCheckpointResponse(checkpoint=message, existed=existed)

    @allow(Rule.MEMBER)
    def ListSeries(self, caller: Caller, request: pb.ListSeriesRequest) -> pb.ListSeriesResponse:
        """See the contract."""
        found = charts.series_of(_run(caller, request.run_id))
        rows, following = page_of_list(found, request, key=lambda listed: listed.name)
        return pb.ListSeriesResponse(series=map(_series_message, rows), next_page_token=following)

    @allow(Rule.MEMBER)
    def ReadChart(self, caller: Caller, request: pb.ReadChartRequest) -> pb.ReadChartResponse:
        """See the contract."""
        is_whole = not request.first_step_number and not request.last_step_number
        lines = charts.chart(
            _run(caller, request.run_id),
            request.name,
            first=request.first_step_number,
            last=charts.LAST_STEP if is_whole else request.last_step_number,
            width=request.column_count or DEFAULT_COLUMNS,
        )
        return pb.ReadChartResponse(lines=map(_line_message, lines))

    @allow(Rule.MEMBER)
    def ReadPoints(self, caller: Caller, request: pb.ReadPointsRequest) -> Iterator[pb.ReadPointsResponse]:
        """See the contract."""
        for series in charts.lines_of(_run(caller, request.run_id), list(request.names)):
            for points in charts.points_in(series):
                yield pb.ReadPointsResponse(
                    name=series.name,
                    attempt_number=series.track.attempt.number,
                    rank_number=series.track.rank,
                    writer=series.track.writer,
                    step_numbers=points["step"].tolist(),
                    time_nanos=points["time"].tolist(),
                    values=points["value"].tolist(),
                )

    @allow(Rule.MEMBER)
    def ListCheckpoints(
        self, caller: Caller, request: pb.ListCheckpointsRequest
    ) -> pb.ListCheckpointsResponse:
        """See the contract."""
        run = _run(caller, request.run_id)
        listed = checkpoints.checkpoints_of(run)
        rows, following = page_of_list(listed, request, key=checkpoints.sort_key)
        places = checkpoints.places(run, rows)
        return pb.ListCheckpointsResponse(
            checkpoints=[_checkpoint_message(row, places[row.pk]) for row in rows], next_page_token=following
        )

    @allow(Rule.MEMBER)
    def DownloadCheckpoint(
        self, caller: Caller, request: pb.DownloadCheckpointRequest
    ) -> Iterator[pb.DownloadCheckpointResponse]:
        """See the contract."""
        run = _run(caller, request.run_id)
        found = checkpoints.find(run, request.attempt_number, request.name)
        pieces = checkpoints.read(run, found, request.path, request.start_offset, request.length_bytes)
        for data in pieces:
            yield pb.DownloadCheckpointResponse(data=data)

    @allow(Rule.MEMBER)
    def FindLastValues(self, caller: Caller, request: pb.FindLastValuesRequest) -> pb.FindLastValuesResponse:
        """See the contract."""
        if len(request.run_ids) > MAX_RUNS:
            raise invalid("run_ids", f"there are {len(request.run_ids):,}; at most {MAX_RUNS:,} are taken")
        asked = [uuid_of("run_ids", run_id) for run_id in request.run_ids]
        runs = caller.project.runs.filter(pk__in=asked).values_list("pk", flat=True)
        found = charts.last_values(list(runs), [request.name])
        values = {
            str(run): _number(last[request.name]) for run, last in found.items() if request.name in last
        }
        return pb.FindLastValuesResponse(values=values)

    @allow(Rule.MEMBER)
    def FindBatch(self, caller: Caller, request: pb.FindBatchRequest) -> pb.FindBatchResponse:
        """See the contract."""
        attempt = services.find_attempt(_run(caller, request.run_id), request.attempt_number)
        found = batches.batch_at(attempt, request.rank_number, request.step_number)
        return pb.FindBatchResponse(
            order_json=json.dumps(found.order), epoch_number=found.epoch, batch_number=found.batch
        )


def _run(caller: Caller, run_id: str) -> Run:
    return services.find_run(caller.project, uuid_of("run_id", run_id))


def _external(caller: Caller, run_id: str) -> Attempt:
    return external.attempt_of(_run(caller, run_id))


def _time(request: "pb.StartRunRequest | pb.FinishRunRequest", field: str) -> datetime.datetime | None:
    if not request.HasField(field):  # type: ignore[arg-type]
        return None
    try:
        found: datetime.datetime = getattr(request, field).ToDatetime(datetime.timezone.utc)
    except (ValueError, OverflowError):
        raise invalid(field, "is no time") from None
    return found


def _series_message(listed: charts.Listed) -> pb.Series:
    seconds, nanos = divmod(max(0, listed.last_time), 10**9)
    return pb.Series(
        name=listed.name,
        point_count=listed.count,
        first_step_number=listed.first_step,
        last_step_number=listed.last_step,
        last_time=Timestamp(seconds=seconds, nanos=nanos),
        last=_number(listed.last),
        min=_number(listed.min),
        max=_number(listed.max),
    )


def _line_message(line: charts.Line) -> pb.ChartLine:
    return pb.ChartLine(
        attempt_number=line.attempt,
        rank_number=line.rank,
        writer=line.writer,
        point_count=line.count,
        step_numbers=line.steps,
        min=map(_number, line.min),
        max=map(_number, line.max),
        last=map(_number, line.last),
    )


def _checkpoint_message(checkpoint: Checkpoint, place: checkpoints.Place) -> pb.Checkpoint:
    return pb.Checkpoint(
        attempt_number=checkpoint.attempt.number,
        name=checkpoint.name,
        path=checkpoint.path,
        best=checkpoint.is_best,
        step_number=checkpoint.step,
        metric=checkpoint.metric or 0.0,
        has_metric=checkpoint.metric is not None,
        size_bytes=checkpoint.size_bytes,
        create_time=timestamp(checkpoint.create_time),
        place=pb.CheckpointPlace.ValueType(place.value),
        write_time=timestamp(checkpoint.write_time),
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value
