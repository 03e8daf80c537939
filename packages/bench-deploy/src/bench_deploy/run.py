"""A run, its attempts and what it was asked for, as the server tells of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from enum import Enum
from typing import Any

from bench_protos.runs.v1 import runs_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from bench_deploy.versions import PinnedDataset


class RunState(Enum):
    """How a run, or an attempt of one, is. The values are the numbers of the contract."""

    QUEUED = pb.RUN_STATE_QUEUED
    BUILDING = pb.RUN_STATE_BUILDING
    STARTING = pb.RUN_STATE_STARTING
    RUNNING = pb.RUN_STATE_RUNNING
    STOPPING = pb.RUN_STATE_STOPPING
    SUCCEEDED = pb.RUN_STATE_SUCCEEDED
    FAILED = pb.RUN_STATE_FAILED
    STOPPED = pb.RUN_STATE_STOPPED

    @property
    def has_ended(self) -> bool:
        """Whether nothing follows."""
        return self in (RunState.SUCCEEDED, RunState.FAILED, RunState.STOPPED)


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """What is run, and with what.

    Args:
        bundle_digest: BLAKE3 of the code's bundle, hex.
        datasets: The version of each dataset that it is pinned to.
        command: The program and its arguments.
        environment: Variables for the training. They are shown: what is secret is given as a secret.
        gpu_count: Whole GPUs.
        cpu_millis: Thousandths of a CPU; 0: all that the machine has.
        memory_bytes: 0: what the server gives each run.
        grace_seconds: From SIGTERM to SIGKILL when it is stopped; 0: the server's choice.
        limit_seconds: It is stopped after so long; 0: never.
        retry_count: So many new attempts after an end that is not the training's own fault.
        project_version_number: The version of the project that the code is from; 0: as it lay in its folder.
        git_commit: The commit that the code is from, hex; empty if there is none.
        is_dirty: Whether the code had changes that are not in it.
        lock: The requirements, resolved; empty: they are resolved when the image is made.
    """

    bundle_digest: str
    datasets: Mapping[str, int] = field(default_factory=dict)
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    gpu_count: int = 0
    cpu_millis: int = 0
    memory_bytes: int = 0
    grace_seconds: int = 0
    limit_seconds: int = 0
    retry_count: int = 0
    project_version_number: int = 0
    git_commit: str = ""
    is_dirty: bool = False
    lock: str = ""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try of a run: one container.

    Args:
        attempt_number: 1, 2, ...
        state: How it is.
        reason: Why it ended, a code of docs/runs.md; empty while it has not.
        message: The same for people.
        waiting_for: What it waits for while it is queued.
        exit_code: Of the training; None while there is none.
        image_id: Of its image, as the engine names it.
        lock: The requirements as they were resolved for it.
        engine: "docker" or "process".
        stopper: Who stopped it; empty if nobody did.
        create_time: When it was made, UTC.
        start_time: When the training began.
        end_time: When it ended.
        last_contact_time: When it was last heard of.
        log_bytes: The log's size on the server.
        log_truncated: Whether the log was longer than the server keeps.
    """

    attempt_number: int
    state: RunState
    reason: str
    message: str
    waiting_for: str
    exit_code: int | None
    image_id: str
    lock: str
    engine: str
    stopper: str
    create_time: datetime
    start_time: datetime | None
    end_time: datetime | None
    last_contact_time: datetime | None
    log_bytes: int
    log_truncated: bool


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of a project.

    Args:
        run_id: A UUID.
        name: Unique in its project.
        tags: To find it by.
        group: What it belongs to; empty: nothing.
        parent_run_id: The run that it repeats; empty: none.
        spec: What is run.
        datasets: What it is pinned to, with fingerprints.
        attempts: By number; at least one.
        state: That of its last attempt.
        create_time: When it was made, UTC.
        creator: Who made it; empty if the account is gone.
        config: What its training was configured with, as it said itself; empty in a list of runs.
        summary: What came of it, likewise.
    """

    run_id: str
    name: str
    tags: tuple[str, ...]
    group: str
    parent_run_id: str
    spec: RunSpec
    datasets: tuple[PinnedDataset, ...]
    attempts: tuple[Attempt, ...]
    state: RunState
    create_time: datetime
    creator: str
    config: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def last_attempt(self) -> Attempt:
        """The one whose state is the run's."""
        return self.attempts[-1]

    @property
    def spec_to_repeat(self) -> RunSpec:
        """The spec of a run that repeats this one: the same code, data and lock."""
        locks = [self.spec.lock, *(attempt.lock for attempt in self.attempts)]
        return replace(self.spec, lock=next((lock for lock in locks if lock), ""))


def spec_message(spec: RunSpec) -> pb.RunSpec:
    """A spec as it is sent."""
    return pb.RunSpec(
        bundle_digest=spec.bundle_digest,
        datasets=[
            pb.RunDataset(dataset=name, version_number=number)
            for name, number in sorted(spec.datasets.items())
        ],
        command=spec.command,
        environment=spec.environment,
        gpu_count=spec.gpu_count,
        cpu_millis=spec.cpu_millis,
        memory_bytes=spec.memory_bytes,
        grace_seconds=spec.grace_seconds,
        limit_seconds=spec.limit_seconds,
        retry_count=spec.retry_count,
        project_version_number=spec.project_version_number,
        git_commit=spec.git_commit,
        git_dirty=spec.is_dirty,
        lock=spec.lock,
    )


def read_run(message: pb.Run) -> Run:
    """A run as it was received."""
    return Run(
        run_id=message.run_id,
        name=message.name,
        tags=tuple(message.tags),
        group=message.group,
        parent_run_id=message.parent_run_id,
        spec=_spec(message.spec),
        datasets=tuple(
            PinnedDataset(
                dataset=pin.dataset,
                version_number=pin.version_number,
                fingerprint=pin.fingerprint,
                is_deleted=False,
            )
            for pin in message.spec.datasets
        ),
        attempts=tuple(map(_attempt, message.attempts)),
        state=RunState(message.state),
        create_time=time_of(message.create_time),
        creator=message.creator,
        config=json.loads(message.config_json or "{}"),
        summary=json.loads(message.summary_json or "{}"),
    )


def time_of(stamp: Timestamp) -> datetime:
    """A time of a message."""
    return stamp.ToDatetime(tzinfo=timezone.utc)


def _spec(message: pb.RunSpec) -> RunSpec:
    return RunSpec(
        bundle_digest=message.bundle_digest,
        datasets={pin.dataset: pin.version_number for pin in message.datasets},
        command=tuple(message.command),
        environment=dict(message.environment),
        gpu_count=message.gpu_count,
        cpu_millis=message.cpu_millis,
        memory_bytes=message.memory_bytes,
        grace_seconds=message.grace_seconds,
        limit_seconds=message.limit_seconds,
        retry_count=message.retry_count,
        project_version_number=message.project_version_number,
        git_commit=message.git_commit,
        is_dirty=message.git_dirty,
        lock=message.lock,
    )


def _attempt(message: pb.Attempt) -> Attempt:
    return Attempt(
        attempt_number=message.attempt_number,
        state=RunState(message.state),
        reason=message.reason,
        message=message.message,
        waiting_for=message.waiting_for,
        exit_code=message.exit_code if message.has_exit_code else None,
        image_id=message.image_id,
        lock=message.lock,
        engine=message.engine,
        stopper=message.stopper,
        create_time=time_of(message.create_time),
        start_time=time_of(message.start_time) if message.HasField("start_time") else None,
        end_time=time_of(message.end_time) if message.HasField("end_time") else None,
        last_contact_time=(
            time_of(message.last_contact_time) if message.HasField("last_contact_time") else None
        ),
        log_bytes=message.log_bytes,
        log_truncated=message.log_truncated,
    )
