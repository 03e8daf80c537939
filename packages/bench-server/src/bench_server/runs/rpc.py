"""bench.runs.v1 on the server: what people and their programs call."""

from collections.abc import Callable, Iterator

from bench_protos.runs.v1 import runs_pb2 as pb
from bench_protos.runs.v1 import secrets_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from bench_server.access import Caller, Rule, allow, uuid_of
from bench_server.accounts.models import User
from bench_server.errors import invalid
from bench_server.looking import look
from bench_server.projects.models import Project
from bench_server.rpc.paging import page, page_of_list
from bench_server.runs import files, log_store, secrets, services
from bench_server.runs.artifacts import Artifact
from bench_server.runs.labels import Labels
from bench_server.runs.messages import run_message, secret_message, spec_of, states_of
from bench_server.runs.models import Attempt, Run, Secret
from bench_server.runs.states import State
from bench_server.runs.transitions import UNFINISHED

LATEST_SECOND = 253402300799
"""9999-12-31: a message takes no later time. A training may give its files any."""


class RunService:
    """The calls of the contract, by their names."""

    @allow(Rule.MEMBER)
    def SubmitRun(self, caller: Caller, request: pb.SubmitRunRequest) -> pb.SubmitRunResponse:
        """See the contract."""
        parent = request.parent_run_id
        labels = Labels(
            name=request.name,
            tags=tuple(request.tags),
            group=request.group,
            parent=uuid_of("parent_run_id", parent) if parent else None,
        )
        run_id = uuid_of("run_id", request.run_id)
        run, existed = services.submit(caller.project, caller.user, run_id, labels, spec_of(request.spec))
        return pb.SubmitRunResponse(run=run_message(run), existed=existed)

    @allow(Rule.MEMBER)
    def GetRun(self, caller: Caller, request: pb.GetRunRequest) -> pb.GetRunResponse:
        """See the contract."""
        return pb.GetRunResponse(run=run_message(services.look_up(caller.project, request.run)))

    @allow(Rule.MEMBER)
    def ListRuns(self, caller: Caller, request: pb.ListRunsRequest) -> pb.ListRunsResponse:
        """See the contract."""
        found = services.runs_in(caller.project, states_of(list(request.states)), list(request.tags))
        rows, following = page(found, request, key="pk", descending=True)
        runs = [run_message(run, with_locks=False) for run in rows]
        return pb.ListRunsResponse(runs=runs, next_page_token=following)

    @allow(Rule.MEMBER)
    def WatchRun(self, caller: Caller, request: pb.WatchRunRequest) -> Iterator[pb.WatchRunResponse | None]:
        """See the contract."""
        for run in services.watch(caller.project, uuid_of("run_id", request.run_id)):
            yield pb.WatchRunResponse(run=run_message(run)) if run else None

    @allow(Rule.MEMBER)
    def ReadLog(self, caller: Caller, request: pb.ReadLogRequest) -> Iterator[pb.ReadLogResponse | None]:
        """See the contract."""
        attempt = services.find_attempt(_run(caller, request.run_id), request.attempt_number)
        is_build = request.source == pb.LOG_SOURCE_BUILD
        if not is_build and request.source != pb.LOG_SOURCE_OUTPUT:
            raise invalid("source", "names none")
        path = log_store.build_path_of(attempt) if is_build else log_store.path_of(attempt)
        has_ended = _watch_end(attempt, is_build=is_build) if request.follow else None
        end = None
        for piece in log_store.read(path, request.start_offset, has_ended=has_ended):
            if isinstance(piece, log_store.Piece):
                end = piece.offset + len(piece.data)
                yield pb.ReadLogResponse(start_offset=piece.offset, data=piece.data)
            else:
                yield None
        if end is None:
            end = log_store.position(path, request.start_offset)
        truncated = not is_build and end > log_store.QUOTA_BYTES
        yield pb.ReadLogResponse(start_offset=end, complete=True, truncated=truncated)

    @allow(Rule.MEMBER)
    def StopRun(self, caller: Caller, request: pb.StopRunRequest) -> pb.StopRunResponse:
        """See the contract."""
        run = _run(caller, request.run_id)
        services.stop(run, caller.user)
        return pb.StopRunResponse(run=run_message(services.find_run(caller.project, run.pk)))

    @allow(Rule.MEMBER)
    def ResumeRun(self, caller: Caller, request: pb.ResumeRunRequest) -> pb.ResumeRunResponse:
        """See the contract."""
        run = _run(caller, request.run_id)
        services.resume(run, uuid_of("request_id", request.request_id))
        return pb.ResumeRunResponse(run=run_message(services.find_run(caller.project, run.pk)))

    @allow(Rule.MEMBER)
    def DeleteRun(self, caller: Caller, request: pb.DeleteRunRequest) -> pb.DeleteRunResponse:
        """See the contract."""
        services.delete_run(_run(caller, request.run_id))
        return pb.DeleteRunResponse()

    @allow(Rule.MEMBER)
    def ListArtifacts(self, caller: Caller, request: pb.ListArtifactsRequest) -> pb.ListArtifactsResponse:
        """See the contract."""
        found = files.files_of(_run(caller, request.run_id))
        rows, following = page_of_list(found, request, key=lambda artifact: artifact.path)
        return pb.ListArtifactsResponse(artifacts=map(_artifact_message, rows), next_page_token=following)

    @allow(Rule.MEMBER)
    def DownloadArtifact(
        self, caller: Caller, request: pb.DownloadArtifactRequest
    ) -> Iterator[pb.DownloadArtifactResponse]:
        """See the contract."""
        run = _run(caller, request.run_id)
        for data in files.read(run, request.path, request.start_offset, request.length_bytes):
            yield pb.DownloadArtifactResponse(data=data)


class SecretService:
    """The calls of the contract, by their names."""

    @allow(Rule.MEMBER)
    def SetSecret(
        self, caller: Caller, request: secrets_pb2.SetSecretRequest
    ) -> secrets_pb2.SetSecretResponse:
        """See the contract."""
        try:
            form = Secret.Form(request.form)
        except ValueError:
            raise invalid("form", "names none") from None
        made = secrets.set_secret(_owner(caller, request.scope), request.name, form, request.value)
        return secrets_pb2.SetSecretResponse(secret=secret_message(made))

    @allow(Rule.MEMBER)
    def ListSecrets(
        self, caller: Caller, request: secrets_pb2.ListSecretsRequest
    ) -> secrets_pb2.ListSecretsResponse:
        """See the contract."""
        found = secrets.secrets_of(caller.project, caller.user)
        rows, following = page_of_list(found, request, key=secrets.sort_key)
        return secrets_pb2.ListSecretsResponse(secrets=map(secret_message, rows), next_page_token=following)

    @allow(Rule.MEMBER)
    def DeleteSecret(
        self, caller: Caller, request: secrets_pb2.DeleteSecretRequest
    ) -> secrets_pb2.DeleteSecretResponse:
        """See the contract."""
        secrets.delete_secret(_owner(caller, request.scope), request.name)
        return secrets_pb2.DeleteSecretResponse()


def _run(caller: Caller, run_id: str) -> Run:
    return services.find_run(caller.project, uuid_of("run_id", run_id))


def _watch_end(attempt: Attempt, *, is_build: bool) -> Callable[[], bool]:
    """Says whether what writes a log of an attempt has ended; True too if the attempt is gone."""
    row = Attempt.objects.filter(pk=attempt.pk).values_list("state", flat=True)
    writing = [State.QUEUED.value, State.BUILDING.value] if is_build else UNFINISHED

    def has_ended() -> bool:
        return look(row.first) not in writing

    return has_ended


def _owner(caller: Caller, scope: int) -> Project | User:
    if scope == secrets_pb2.SECRET_SCOPE_PROJECT:
        return caller.project
    if scope == secrets_pb2.SECRET_SCOPE_USER:
        return caller.user
    raise invalid("scope", "names none")


def _artifact_message(artifact: Artifact) -> pb.Artifact:
    seconds = min(max(artifact.modify_seconds, 0), LATEST_SECOND)
    return pb.Artifact(path=artifact.path, size_bytes=artifact.size, modify_time=Timestamp(seconds=seconds))
