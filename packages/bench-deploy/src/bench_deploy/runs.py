"""The runs of a project on its server."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from uuid import uuid4

import grpc
from bench_agent.patience import Patience
from bench_auth import AuthError, call, open_channel, translate
from bench_auth.settings import ENDPOINT_VARIABLE
from bench_core import ProjectSettings
from bench_protos.runs.v1 import runs_pb2 as pb
from bench_protos.runs.v1.runs_pb2_grpc import RunServiceStub

from bench_deploy.artifact_file import ArtifactFile
from bench_deploy.run import Run, RunSpec, RunState, read_run, spec_message, time_of
from bench_deploy.waiting import Notice, Wait, cut_short, ignore

PAGE = 1000

SUBMIT_SECONDS = 120.0
"""The server reads the bundle before it makes a run."""


class LogSource(Enum):
    """What a log is of. The values are the numbers of the contract."""

    OUTPUT = pb.LOG_SOURCE_OUTPUT
    """What the training wrote, both streams."""

    BUILD = pb.LOG_SOURCE_BUILD
    """What making the image said."""


@dataclass(frozen=True, kw_only=True)
class LogSlice:
    """What of a log is read.

    Args:
        attempt_number: Of the attempt; 0: the last one.
        source: Which log.
        start_offset: Bytes from the beginning; negative: so many before the end.
        follow: Go on until the log is complete.
    """

    attempt_number: int = 0
    source: LogSource = LogSource.OUTPUT
    start_offset: int = 0
    follow: bool = False


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file that a run left.

    Args:
        path: With `/`: `output/...` from $BENCH_OUTPUT, `work/...` what was written beside the code.
        size_bytes: Its size.
        modify_time: When it was written last, UTC.
    """

    path: str
    size_bytes: int
    modify_time: datetime


class ProjectRuns:
    """The runs of a project on its server.

    Every method raises AuthError where the server refuses. Those that stream wait for a server that is away,
    for as long as it takes; the others raise it.

    Args:
        project: The project.
        endpoint: The server; unless given `$BENCH_ENDPOINT`, `bench.toml`, the last login, in that order.

    Raises:
        NotLoggedInError: There is no login.
    """

    def __init__(self, project: ProjectSettings, endpoint: str | None = None) -> None:
        self._project_id = project.id
        self.endpoint = endpoint or os.environ.get(ENDPOINT_VARIABLE) or project.endpoint
        self._runs = RunServiceStub(open_channel(self.endpoint))

    def submit(
        self,
        spec: RunSpec,
        *,
        run_id: str,
        name: str = "",
        tags: Sequence[str] = (),
        group: str = "",
        parent_run_id: str = "",
    ) -> Run:
        """Make a run, queued. The same call again gives the same run.

        Args:
            spec: What is run; its bundle is on the server.
            run_id: A UUID of the caller's making.
            name: Unique in the project; empty: the server makes one.
            tags: To find it by.
            group: What it belongs to.
            parent_run_id: The run that it repeats.

        Raises:
            AuthError: The server refuses, or is away for too long.
        """
        request = pb.SubmitRunRequest(
            project_id=self._project_id,
            run_id=run_id,
            name=name,
            tags=tags,
            group=group,
            parent_run_id=parent_run_id,
            spec=spec_message(spec),
        )
        patience = Patience()
        while True:
            try:
                return read_run(call(self._runs.SubmitRun, request, seconds=SUBMIT_SECONDS).run)
            except AuthError as error:
                patience.wait(error)

    def get(self, run: str) -> Run:
        """One run.

        Args:
            run: Its name, its id, or the beginning of its id, 8 digits or more.

        Raises:
            NotFoundError: There is none.
        """
        request = pb.GetRunRequest(project_id=self._project_id, run=run)
        return read_run(call(self._runs.GetRun, request).run)

    def latest(self) -> Run | None:
        """The run that was made last, or None if there is none yet."""
        request = pb.ListRunsRequest(project_id=self._project_id, page_size=1)
        found = call(self._runs.ListRuns, request).runs
        return read_run(found[0]) if found else None

    def all(self, states: Sequence[RunState] = (), tags: Sequence[str] = ()) -> Iterator[Run]:
        """The runs, newest first.

        Args:
            states: Only those in one of these; none: all.
            tags: Only those that have all of these.
        """
        request = pb.ListRunsRequest(
            project_id=self._project_id, states=[_number(state) for state in states], tags=tags
        )
        while True:
            page = call(self._runs.ListRuns, request)
            yield from map(read_run, page.runs)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def watch(self, run_id: str, notice: Notice = ignore) -> Iterator[Run]:
        """A run now, and again after each change, until nothing more is to come of it.

        Args:
            run_id: Its id.
            notice: Told when the server goes away and when it is back.
        """
        wait = Wait(notice)
        state: RunState | None = None
        while True:
            try:
                request = pb.WatchRunRequest(project_id=self._project_id, run_id=run_id)
                for message in self._runs.WatchRun(request):
                    wait.progressed()
                    run = read_run(message.run)
                    state = run.state
                    yield run
                if state is not None and state.has_ended:
                    return
                wait.on(cut_short())
            except grpc.RpcError as error:
                wait.on(translate(error))

    def read_log(
        self, run_id: str, part: LogSlice | None = None, notice: Notice = ignore
    ) -> Iterator[tuple[int, bytes]]:
        """A log's bytes, each once: a stream that breaks is taken up where it broke.

        Args:
            run_id: The run's id.
            part: What of its logs; the last attempt's whole output so far unless given.
            notice: Told when the server goes away and when it is back.

        Yields:
            The offset of the first byte in the log, and up to 1 MiB. A jump of the offset is a gap in it.
        """
        part = part or LogSlice()
        request = pb.ReadLogRequest(
            project_id=self._project_id,
            run_id=run_id,
            attempt_number=part.attempt_number or self.get(run_id).last_attempt.attempt_number,
            source=_source(part.source),
            start_offset=part.start_offset,
            follow=part.follow,
        )
        wait = Wait(notice)
        while True:
            try:
                for message in self._runs.ReadLog(request):
                    wait.progressed()
                    offset, data = unseen(message.start_offset, message.data, request.start_offset)
                    if data:
                        request.start_offset = offset + len(data)
                        yield offset, data
                    if message.complete:
                        return
                wait.on(cut_short())
            except grpc.RpcError as error:
                wait.on(translate(error))

    def stop(self, run_id: str) -> Run:
        """Ask for the end of a run; one that has ended stays as it is."""
        request = pb.StopRunRequest(project_id=self._project_id, run_id=run_id)
        return read_run(call(self._runs.StopRun, request).run)

    def resume(self, run_id: str) -> Run:
        """Start a new attempt of a run that has ended, with the files that it left.

        Raises:
            NotPossibleError: It has not ended.
        """
        request = pb.ResumeRunRequest(request_id=str(uuid4()), project_id=self._project_id, run_id=run_id)
        return read_run(call(self._runs.ResumeRun, request).run)

    def delete(self, run_id: str) -> None:
        """Delete a run that has ended, with its logs and files.

        Raises:
            NotPossibleError: It has not ended.
        """
        call(self._runs.DeleteRun, pb.DeleteRunRequest(project_id=self._project_id, run_id=run_id))

    def artifacts(self, run_id: str) -> Iterator[Artifact]:
        """The files that a run left, by path."""
        request = pb.ListArtifactsRequest(project_id=self._project_id, run_id=run_id, page_size=PAGE)
        while True:
            page = call(self._runs.ListArtifacts, request)
            for found in page.artifacts:
                yield Artifact(
                    path=found.path, size_bytes=found.size_bytes, modify_time=time_of(found.modify_time)
                )
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def download_artifact(
        self, run_id: str, artifact: Artifact, folder: str | os.PathLike[str], notice: Notice = ignore
    ) -> bool:
        """Fetch a file that a run left, from where an earlier call left off. It appears whole.

        Args:
            run_id: The run's id.
            artifact: The file.
            folder: It becomes `folder/artifact.path`, never anything outside of the folder.
            notice: Told when the server goes away and when it is back.

        Returns:
            Whether it had to be fetched.

        Raises:
            ArtifactError: Its path leads out of the folder, or it cannot be written.
        """
        time_ns = int(artifact.modify_time.timestamp() * 1_000_000) * 1_000
        with ArtifactFile(Path(folder), artifact.path, artifact.size_bytes, time_ns) as file:
            if file.is_there:
                return False
            wait = Wait(notice)
            while file.offset < artifact.size_bytes:
                request = pb.DownloadArtifactRequest(
                    project_id=self._project_id,
                    run_id=run_id,
                    path=artifact.path,
                    start_offset=file.offset,
                    length_bytes=artifact.size_bytes - file.offset,
                )
                try:
                    for message in self._runs.DownloadArtifact(request):
                        wait.progressed()
                        file.write(message.data)
                    if file.offset < artifact.size_bytes:
                        wait.on(cut_short())
                except grpc.RpcError as error:
                    wait.on(translate(error))
            file.finish()
            return True


def unseen(start: int, data: bytes, wanted: int) -> tuple[int, bytes]:
    """What of a message lies at or behind a wanted offset; a negative one wants all of it."""
    known = max(wanted - start, 0) if wanted >= 0 else 0
    return start + known, data[known:]


def _number(state: RunState) -> pb.RunState.ValueType:
    return pb.RunState.ValueType(state.value)


def _source(source: LogSource) -> pb.LogSource.ValueType:
    return pb.LogSource.ValueType(source.value)
