"""Runs on a real server with its runner, submitted and looked at as any client would."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import bench_auth
from agent_tools import Server, running_server
from bench_auth import call
from bench_protos.data.v1.datasets_pb2 import UploadBlobRequest
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub
from bench_protos.runs.v1 import runs_pb2 as pb
from bench_protos.runs.v1 import secrets_pb2
from bench_protos.runs.v1.runs_pb2_grpc import RunServiceStub
from bench_protos.runs.v1.secrets_pb2_grpc import SecretServiceStub
from bench_protos.tracks.v1 import tracks_pb2
from bench_protos.tracks.v1.tracks_pb2_grpc import TrackServiceStub
from blake3 import blake3
from run_tools import zipped
from uuid6 import uuid7

PATIENCE_SECONDS = 180.0
"""The first image takes minutes on a busy machine."""
ENDED = (pb.RUN_STATE_SUCCEEDED, pb.RUN_STATE_FAILED, pb.RUN_STATE_STOPPED)


@dataclass
class Runs:
    """The runs of a project on a server."""

    server: Server
    project_id: str

    @property
    def _stub(self) -> RunServiceStub:
        return RunServiceStub(bench_auth.open_channel(self.server.endpoint))

    def submit(
        self, script: str, *, files: dict[str, str] | None = None, command: Sequence[str] = (), **spec: Any
    ) -> str:
        """A run of a script, with files by their paths beside it; its id."""
        return self.submit_bundle(zipped({"train.py": script, **(files or {})}), command=command, **spec)

    def submit_bundle(self, data: bytes, *, command: Sequence[str] = (), **spec: Any) -> str:
        """A run of `train.py` in a bundle; its id."""
        wanted = pb.RunSpec(
            bundle_digest=self.upload(data), command=command or ["python", "train.py"], **spec
        )
        request = pb.SubmitRunRequest(project_id=self.project_id, run_id=str(uuid7()), spec=wanted)
        return call(self._stub.SubmitRun, request).run.run_id

    def upload(self, data: bytes) -> str:
        digest = blake3(data).hexdigest()
        first = UploadBlobRequest(project_id=self.project_id, digest=digest, size_bytes=len(data))
        messages = iter([first, UploadBlobRequest(data=data)])
        DatasetServiceStub(bench_auth.open_channel(self.server.endpoint)).UploadBlob(messages)
        return digest

    def get(self, run_id: str) -> pb.Run:
        return call(self._stub.GetRun, pb.GetRunRequest(project_id=self.project_id, run=run_id)).run

    def last(self, run_id: str) -> pb.Attempt:
        return self.get(run_id).attempts[-1]

    def wait(self, run_id: str, *states: "pb.RunState.ValueType") -> pb.Attempt:
        """The last attempt when it is in one of the states; in an end unless some are named."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        attempt = None
        while time.monotonic() < deadline:
            with contextlib.suppress(bench_auth.UnreachableError):
                attempt = self.last(run_id)
                if attempt.state in (states or ENDED):
                    return attempt
            time.sleep(0.05)
        raise AssertionError(f"the run stayed as it is: {attempt}\n{self.log(run_id, pb.LOG_SOURCE_BUILD)!r}")

    def wait_for_log(self, run_id: str, text: bytes) -> None:
        """Return when the stored log has a text."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in (log := self.log(run_id)):
            assert time.monotonic() < deadline, f"{log!r}, {self.last(run_id)}"
            time.sleep(0.05)

    def log(self, run_id: str, source: "pb.LogSource.ValueType" = pb.LOG_SOURCE_OUTPUT) -> bytes:
        request = pb.ReadLogRequest(project_id=self.project_id, run_id=run_id, source=source)
        return b"".join(message.data for message in self._stub.ReadLog(request))

    def stop(self, run_id: str) -> None:
        call(self._stub.StopRun, pb.StopRunRequest(project_id=self.project_id, run_id=run_id))

    def resume(self, run_id: str) -> None:
        request = pb.ResumeRunRequest(request_id=str(uuid4()), project_id=self.project_id, run_id=run_id)
        call(self._stub.ResumeRun, request)

    def delete(self, run_id: str) -> None:
        call(self._stub.DeleteRun, pb.DeleteRunRequest(project_id=self.project_id, run_id=run_id))

    def checkpoints(self, run_id: str) -> list[tracks_pb2.Checkpoint]:
        stub = TrackServiceStub(bench_auth.open_channel(self.server.endpoint))
        request = tracks_pb2.ListCheckpointsRequest(project_id=self.project_id, run_id=run_id)
        return list(call(stub.ListCheckpoints, request).checkpoints)

    def artifacts(self, run_id: str) -> dict[str, bytes]:
        request = pb.ListArtifactsRequest(project_id=self.project_id, run_id=run_id, page_size=1000)
        paths = [found.path for found in call(self._stub.ListArtifacts, request).artifacts]
        return {path: self._download(run_id, path) for path in paths}

    def _download(self, run_id: str, path: str) -> bytes:
        request = pb.DownloadArtifactRequest(project_id=self.project_id, run_id=run_id, path=path)
        return b"".join(message.data for message in self._stub.DownloadArtifact(request))

    def set_secret(self, name: str, value: bytes, *, as_file: bool = False) -> None:
        form = secrets_pb2.SECRET_FORM_FILE if as_file else secrets_pb2.SECRET_FORM_ENVIRONMENT
        request = secrets_pb2.SetSecretRequest(
            project_id=self.project_id,
            name=name,
            value=value,
            scope=secrets_pb2.SECRET_SCOPE_PROJECT,
            form=form,
        )
        call(SecretServiceStub(bench_auth.open_channel(self.server.endpoint)).SetSecret, request)

    def folder(self, run_id: str) -> Path:
        return self.server.data / "runs" / run_id


@contextlib.contextmanager
def running(folder: Path, engine: str) -> Iterator[Runs]:
    """A server with a runner and a project."""
    with running_server(folder, engine=engine) as server:
        yield Runs(server, server.create_project())
