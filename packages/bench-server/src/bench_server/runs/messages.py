"""Runs as messages of the contract, and what comes in them."""

import json

from bench_protos.runs.v1 import runs_pb2 as pb
from bench_protos.runs.v1 import secrets_pb2

from bench_server.accounts.models import User
from bench_server.errors import invalid
from bench_server.rpc.convert import digest_of, timestamp
from bench_server.runs.models import Attempt, Run, Secret
from bench_server.runs.spec import DEFAULT_GRACE_SECONDS, RunSpec
from bench_server.runs.states import State

MESSAGES = 200
"""Characters of what lists say about each attempt's end: a page of runs has to fit a message."""


def spec_of(message: pb.RunSpec) -> RunSpec:
    """A spec that came in.

    Raises:
        Refused: FIELD_INVALID.
    """
    return RunSpec(
        bundle_digest=digest_of("bundle_digest", message.bundle_digest),
        datasets=tuple(sorted((pin.dataset, pin.version_number) for pin in message.datasets)),
        command=tuple(message.command),
        environment=dict(message.environment),
        gpu_count=message.gpu_count,
        cpu_millis=message.cpu_millis,
        memory_bytes=message.memory_bytes,
        grace_seconds=message.grace_seconds or DEFAULT_GRACE_SECONDS,
        limit_seconds=message.limit_seconds,
        retry_count=message.retry_count,
        project_version_number=message.project_version_number,
        git_commit=message.git_commit,
        git_dirty=message.git_dirty,
        lock=message.lock,
    )


def states_of(numbers: list[int]) -> list[State]:
    """States that came in.

    Raises:
        Refused: FIELD_INVALID.
    """
    try:
        return [State(number) for number in numbers]
    except ValueError as error:
        raise invalid("states", str(error)) from None


def run_message(run: Run, *, with_locks: bool = True) -> pb.Run:
    """A run with its attempts.

    Args:
        run: The run.
        with_locks: With the requirements as they were resolved, which are long.
    """
    attempts = sorted(run.attempts.all(), key=lambda attempt: attempt.number)
    last = attempts[-1]
    return pb.Run(
        run_id=str(run.pk),
        name=run.name,
        tags=sorted(tag.tag for tag in run.tags.all()),
        group=run.group,
        parent_run_id=str(run.parent_id or ""),
        spec=_spec_message(run, with_lock=with_locks),
        attempts=[_attempt_message(one, with_lock=with_locks and one is last) for one in attempts],
        state=pb.RunState.ValueType(last.state),
        create_time=timestamp(run.create_time),
        creator=_name(run.creator),
        config_json=json.dumps(run.config) if run.config and with_locks else "",
        summary_json=json.dumps(run.summary) if run.summary and with_locks else "",
    )


def _spec_message(run: Run, *, with_lock: bool) -> pb.RunSpec:
    spec = RunSpec.from_json(run.spec)
    fields = {**spec.to_json(), "lock": spec.lock if with_lock else ""}
    del fields["datasets"]
    datasets = [
        pb.RunDataset(dataset=pin.dataset, version_number=pin.number, fingerprint=pin.fingerprint)
        for pin in sorted(run.pins.all(), key=lambda pin: pin.dataset)
    ]
    return pb.RunSpec(**fields, datasets=datasets)


def _attempt_message(attempt: Attempt, *, with_lock: bool) -> pb.Attempt:
    return pb.Attempt(
        attempt_number=attempt.number,
        state=pb.RunState.ValueType(attempt.state),
        reason=attempt.reason if attempt.has_ended else "",
        message=attempt.message if with_lock else attempt.message[:MESSAGES],
        waiting_for=attempt.waiting_for,
        exit_code=attempt.exit_code or 0,
        has_exit_code=attempt.exit_code is not None,
        image_id=attempt.image_id,
        lock=attempt.lock if with_lock else "",
        engine=attempt.engine,
        stopper=_name(attempt.stopper),
        create_time=timestamp(attempt.create_time),
        start_time=timestamp(attempt.start_time),
        end_time=timestamp(attempt.end_time),
        last_contact_time=timestamp(attempt.last_contact_time),
        log_bytes=attempt.log_bytes,
        log_truncated=attempt.log_truncated,
    )


def secret_message(secret: Secret) -> secrets_pb2.Secret:
    """A secret without its value."""
    is_of_project = secret.project_id is not None
    return secrets_pb2.Secret(
        name=secret.name,
        scope=secrets_pb2.SECRET_SCOPE_PROJECT if is_of_project else secrets_pb2.SECRET_SCOPE_USER,
        form=secrets_pb2.SecretForm.ValueType(secret.form),
        update_time=timestamp(secret.update_time),
    )


def _name(user: User | None) -> str:
    return user.username if user else ""
