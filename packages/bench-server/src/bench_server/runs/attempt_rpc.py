"""bench.runs.v1 on the server: what the agent of an attempt calls, on a socket of its own."""

from collections.abc import Iterator

from bench_protos.runs.v1 import attempts_pb2 as pb
from django.db.models.functions import Now

from bench_server.access import Caller, Rule, allow
from bench_server.rpc.convert import pieces_of
from bench_server.runs import log_store
from bench_server.runs.models import Attempt
from bench_server.tracks import ingest


class AttemptService:
    """The calls of the contract, by their names."""

    @allow(Rule.ATTEMPT)
    def Heartbeat(self, caller: Caller, request: pb.HeartbeatRequest) -> pb.HeartbeatResponse:
        """See the contract."""
        Attempt.objects.filter(pk=caller.own_attempt.pk).update(last_contact_time=Now())
        return pb.HeartbeatResponse(received_bytes=log_store.received(caller.own_attempt))

    @allow(Rule.ATTEMPT)
    def AppendLog(
        self, caller: Caller, first: pb.AppendLogRequest, rest: Iterator[pb.AppendLogRequest]
    ) -> pb.AppendLogResponse:
        """See the contract."""
        appended = log_store.append(caller.own_attempt, first.start_offset, pieces_of(first, rest))
        return pb.AppendLogResponse(received_bytes=appended.received, truncated=appended.truncated)

    @allow(Rule.ATTEMPT)
    def AppendTrack(
        self, caller: Caller, first: pb.AppendTrackRequest, rest: Iterator[pb.AppendTrackRequest]
    ) -> pb.AppendTrackResponse:
        """See the contract."""
        pieces = pieces_of(first, rest)
        appended = ingest.append(caller.own_attempt, first.writer, first.start_offset, pieces)
        return pb.AppendTrackResponse(received_bytes=appended.received, truncated=appended.truncated)
