"""Checkpoints of a run on its server."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

import grpc
from bench_auth import AuthError, translate
from bench_protos.tracks.v1 import tracks_pb2 as pb
from bench_protos.tracks.v1.tracks_pb2_grpc import TrackServiceStub
from bench_track.checkpoint_folder import DOCUMENT, CheckpointFile

from bench_deploy.errors import CheckpointError
from bench_deploy.run import time_of
from bench_deploy.waiting import Wait, cut_short

NEWEST, BEST = "newest", "best"
"""In place of a checkpoint's name."""

MAX_DOCUMENT_BYTES = 16 << 20


class CheckpointPlace(Enum):
    """Where the files of a checkpoint are. The values are the numbers of the contract."""

    UNKNOWN = pb.CHECKPOINT_PLACE_UNSPECIFIED
    """The server does not say: it is an older one."""

    SERVER = pb.CHECKPOINT_PLACE_SERVER
    """On the server."""

    ELSEWHERE = pb.CHECKPOINT_PLACE_ELSEWHERE
    """On the machine that the training ran on."""

    GONE = pb.CHECKPOINT_PLACE_GONE
    """The run's folder on the server has it no more."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint that a run has made, and not removed.

    Args:
        attempt_number: Of the attempt.
        name: Its folder's.
        path: Where the training has it.
        step: The step.
        metric: As the training said; None: it did not.
        is_best: Whether it was the best so far when it was made.
        size_bytes: Its size.
        place: Where its files are.
        write_time: When the training wrote it, by its own clock, UTC.
        create_time: When the server heard of it, UTC.
    """

    attempt_number: int
    name: str
    path: str
    step: int
    metric: float | None
    is_best: bool
    size_bytes: int
    place: CheckpointPlace
    write_time: datetime
    create_time: datetime


def read_checkpoint(found: pb.Checkpoint) -> Checkpoint:
    """A checkpoint of a message."""
    return Checkpoint(
        attempt_number=found.attempt_number,
        name=found.name,
        path=found.path,
        step=found.step_number,
        metric=found.metric if found.has_metric else None,
        is_best=found.best,
        size_bytes=found.size_bytes,
        place=CheckpointPlace(found.place),
        write_time=time_of(found.write_time),
        create_time=time_of(found.create_time),
    )


def choose_checkpoint(checkpoints: Sequence[Checkpoint], name: str) -> Checkpoint:
    """The checkpoint that a name stands for.

    Args:
        checkpoints: All of a run.
        name: One's own; `newest`: of those on the server, the one that was written last; `best`: likewise of
            those that were the best so far when they were made.

    Raises:
        CheckpointError: There is none.
    """
    here = [one for one in checkpoints if one.place is CheckpointPlace.SERVER]
    meant = {NEWEST: here, BEST: [one for one in here if one.is_best]}
    found = meant.get(name, [one for one in checkpoints if one.name == name])
    if not found:
        raise CheckpointError(_missing(name, len(here)), hint="`bench checkpoints` lists what there is.")
    return max(found, key=_age)


def _age(checkpoint: Checkpoint) -> tuple[datetime, int]:
    return checkpoint.write_time, checkpoint.step


def _missing(name: str, count: int) -> str:
    if name not in (NEWEST, BEST):
        return f"the run has no checkpoint {name!r}"
    if not count:
        return "no checkpoint of the run is on the server"
    return f"none of the run's {count:,} checkpoints on the server is said to be the best"


class ServerSource:
    """The files of a checkpoint on its server, which is waited for where it is away.

    Args:
        stub: The server.
        project_id: The project.
        run_id: The run.
        checkpoint: Which.
        wait: For the server.
    """

    def __init__(
        self, stub: TrackServiceStub, project_id: str, run_id: str, checkpoint: Checkpoint, wait: Wait
    ) -> None:
        self._stub, self._wait = stub, wait
        self._request = pb.DownloadCheckpointRequest(
            project_id=project_id,
            run_id=run_id,
            attempt_number=checkpoint.attempt_number,
            name=checkpoint.name,
        )

    def document(self) -> bytes:
        """See Source."""
        while True:
            data = bytearray()
            try:
                for piece in self._pieces(DOCUMENT, 0, 0):
                    data += piece
                    if len(data) > MAX_DOCUMENT_BYTES:
                        raise CheckpointError(
                            f"the checkpoint's {DOCUMENT} is larger than any that is written"
                        )
                return bytes(data)
            except grpc.RpcError as error:
                self._wait.on(translate(error))

    def read(self, file: CheckpointFile) -> Iterator[bytes]:
        """See Source."""
        offset = 0
        while offset < file.size:
            try:
                for piece in self._pieces(file.path, offset, file.size - offset):
                    self._wait.progressed()
                    offset += len(piece)
                    yield piece
                if offset < file.size:
                    self._wait.on(cut_short())
            except grpc.RpcError as error:
                self._wait.on(_torn(file, translate(error)))

    def _pieces(self, path: str, start: int, length: int) -> Iterator[bytes]:
        request = pb.DownloadCheckpointRequest(path=path, start_offset=start, length_bytes=length)
        request.MergeFrom(self._request)
        for message in self._stub.DownloadCheckpoint(request):
            yield message.data


def _torn(file: CheckpointFile, error: AuthError) -> AuthError:
    """The error of a call.

    Raises:
        CheckpointError: It says that the file is shorter than it was written.
    """
    if getattr(error, "reason", "") == "RANGE_INVALID":
        raise CheckpointError(
            f"{file.path} is torn: {error.message}, and {file.size:,} were written",
            hint="The checkpoint is damaged; another one may be whole.",
        )
    return error
