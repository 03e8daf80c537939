"""What the runs of a project said of themselves, on its server."""

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
from bench_auth import call, open_channel, translate
from bench_auth.settings import ENDPOINT_VARIABLE
from bench_core import ProjectSettings
from bench_protos.tracks.v1 import tracks_pb2 as pb
from bench_protos.tracks.v1.tracks_pb2_grpc import TrackServiceStub

from bench_deploy.checkpoint_download import fetch
from bench_deploy.checkpoints import Checkpoint, ServerSource, read_checkpoint
from bench_deploy.run import time_of
from bench_deploy.waiting import Notice, Wait, ignore

PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class Series:
    """A name in a run, and what was logged under it. Numbers are None where there is none that is finite.

    Args:
        name: The name.
        point_count: Points of all attempts and ranks.
        last_step: Of the latest point.
        last_time: Of the latest point, UTC.
        last: The latest value; None too if it is NaN.
        min: The least value.
        max: The greatest.
    """

    name: str
    point_count: int
    last_step: int
    last_time: datetime
    last: float | None
    min: float | None
    max: float | None


@dataclass(frozen=True, kw_only=True)
class Points:
    """Points of one process under one name, in the order in which they were logged.

    Args:
        name: Of the series.
        attempt_number: Of the attempt.
        rank: Of the process.
        steps: The steps.
        times_ns: Unix, in nanoseconds.
        values: The values; NaN and infinities among them.
    """

    name: str
    attempt_number: int
    rank: int
    steps: Sequence[int]
    times_ns: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class BatchPlace:
    """Which batch of a loader a process had when it logged a step.

    Args:
        order: What `bench_data.batch_samples` takes.
        epoch: The epoch.
        batch: Of the process in the epoch, from 0.
    """

    order: dict[str, Any]
    epoch: int
    batch: int


class ProjectTracks:
    """What the runs of a project said of themselves. Every method raises AuthError where the server refuses.

    Args:
        project: The project.
        endpoint: As for `ProjectRuns`.

    Raises:
        NotLoggedInError: There is no login.
    """

    def __init__(self, project: ProjectSettings, endpoint: str | None = None) -> None:
        self._project_id = project.id
        found = endpoint or os.environ.get(ENDPOINT_VARIABLE) or project.endpoint
        self._tracks = TrackServiceStub(open_channel(found))

    def series(self, run_id: str) -> Iterator[Series]:
        """The series of a run, by name."""
        request = pb.ListSeriesRequest(project_id=self._project_id, run_id=run_id, page_size=PAGE)
        while True:
            page = call(self._tracks.ListSeries, request)
            for found in page.series:
                yield Series(
                    name=found.name,
                    point_count=found.point_count,
                    last_step=found.last_step_number,
                    last_time=time_of(found.last_time),
                    last=_known(found.last),
                    min=_known(found.min),
                    max=_known(found.max),
                )
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def points(self, run_id: str, names: Sequence[str] = ()) -> Iterator[Points]:
        """The points of a run's series, some at a time, by name.

        Args:
            run_id: Of the run.
            names: Only these series; none: all.
        """
        request = pb.ReadPointsRequest(project_id=self._project_id, run_id=run_id, names=names)
        try:
            for part in self._tracks.ReadPoints(request):
                yield Points(
                    name=part.name,
                    attempt_number=part.attempt_number,
                    rank=part.rank_number,
                    steps=part.step_numbers,
                    times_ns=part.time_nanos,
                    values=part.values,
                )
        except grpc.RpcError as error:
            raise translate(error) from None

    def checkpoints(self, run_id: str) -> Iterator[Checkpoint]:
        """The checkpoints of a run, by step."""
        request = pb.ListCheckpointsRequest(project_id=self._project_id, run_id=run_id, page_size=PAGE)
        while True:
            page = call(self._tracks.ListCheckpoints, request)
            yield from map(read_checkpoint, page.checkpoints)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def download_checkpoint(
        self, run_id: str, checkpoint: Checkpoint, target: str | os.PathLike[str], notice: Notice = ignore
    ) -> int:
        """Fetch a checkpoint, whose folder appears when all of it is there, as it was written.

        Args:
            run_id: The run's id.
            checkpoint: Which.
            target: The folder; there must be nothing of its name yet.
            notice: Told when the server goes away and when it is back.

        Returns:
            How many files it has, without checkpoint.json.

        Raises:
            CheckpointError: It is not what was written, or cannot be kept here.
            NotPossibleError: Its files are not on the server.
        """
        source = ServerSource(self._tracks, self._project_id, run_id, checkpoint, Wait(notice))
        return len(fetch(source, Path(os.path.abspath(target))))

    def batch(self, run_id: str, step: int, *, rank: int = 0, attempt_number: int = 0) -> BatchPlace:
        """The batch that a process had last when it logged a step.

        Args:
            run_id: Of the run.
            step: The step.
            rank: Of the process.
            attempt_number: Of the attempt; 0: the last.
        """
        request = pb.FindBatchRequest(
            project_id=self._project_id,
            run_id=run_id,
            attempt_number=attempt_number,
            rank_number=rank,
            step_number=step,
        )
        found = call(self._tracks.FindBatch, request)
        order = json.loads(found.order_json)
        return BatchPlace(order=order, epoch=found.epoch_number, batch=found.batch_number)

    def last_values(self, run_ids: Sequence[str], name: str) -> dict[str, float]:
        """The latest value of a series in runs, by their ids; without those that have none.

        Args:
            run_ids: The runs.
            name: The series.
        """
        found: dict[str, float] = {}
        for start in range(0, len(run_ids), PAGE):
            request = pb.FindLastValuesRequest(
                project_id=self._project_id, run_ids=run_ids[start : start + PAGE], name=name
            )
            found |= call(self._tracks.FindLastValues, request).values
        return {run_id: value for run_id, value in found.items() if not math.isnan(value)}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
