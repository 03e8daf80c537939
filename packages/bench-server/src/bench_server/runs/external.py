"""Runs that were started elsewhere: the server is told how they are, and runs nothing.

Such a run has one attempt, whose engine is EXTERNAL. One that is not heard of is taken for lost; that is a
guess, and is taken back when it is heard of again.
"""

import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from bench_server.accounts.models import User
from bench_server.errors import Refused, invalid
from bench_server.projects.models import Project
from bench_server.projects.services import lock
from bench_server.runs import services, transitions
from bench_server.runs.disk import check_room
from bench_server.runs.labels import Labels
from bench_server.runs.models import Attempt, Run
from bench_server.runs.spec import RunSpec
from bench_server.runs.states import EXTERNAL, EXTERNAL_REASONS, REASONS, State

LOST_SECONDS = 600.0
"""One that was not heard of for so long is taken for lost."""

MAX_MESSAGE = 1000

MEANING = {"stopped": "it was stopped where it ran"}
"""Of a reason, where it is another than for runs of the server."""


def start(
    project: Project,
    user: User,
    run_id: UUID,
    *,
    labels: Labels,
    command: tuple[str, ...],
    start_time: datetime.datetime | None = None,
) -> tuple[Run, bool]:
    """Make such a run, running.

    Args:
        project: Whose.
        user: Who makes it.
        run_id: The caller's; the same one gives the same run.
        labels: What it is found by.
        command: The script and its arguments.
        start_time: When the script began; None: now.

    Returns:
        The run, and whether it was there.

    Raises:
        Refused: See StartRun.
    """
    spec = RunSpec(bundle_digest="", command=command, environment={})
    if made := _made_before(project, run_id):
        return made, True
    check_room()
    try:
        with transaction.atomic():
            lock(project)
            if made := _made_before(project, run_id):
                return made, True
            services.create(project, user, run_id, labels, spec, engine=EXTERNAL)
            rows = Attempt.objects.filter(run=run_id)
            rows.update(state=State.RUNNING.value, start_time=start_time or Now(), last_contact_time=Now())
    except IntegrityError:
        raise services.taken(run_id, labels.name) from None
    return services.find_run(project, run_id), False


def _made_before(project: Project, run_id: UUID) -> Run | None:
    made = services.runs_of(project).filter(pk=run_id).first()
    if made is not None and made.last_attempt.engine != EXTERNAL:
        raise services.taken(run_id, "")
    return made


def attempt_of(run: Run) -> Attempt:
    """The attempt of such a run.

    Raises:
        Refused: RUN_NOT_EXTERNAL.
    """
    attempt = run.last_attempt
    if attempt.engine != EXTERNAL:
        raise Refused("RUN_NOT_EXTERNAL", f"{run.name} is run by the server, which knows how it is")
    return attempt


def heard(attempt: Attempt) -> None:
    """Note that such a run was heard of; one that was taken for lost runs again."""
    Attempt.objects.filter(pk=attempt.pk).update(last_contact_time=Now())
    transitions.find_again(attempt.pk)


def finish(
    attempt: Attempt,
    reason: str,
    *,
    message: str = "",
    exit_code: int | None = None,
    end_time: datetime.datetime | None = None,
) -> None:
    """Record how such a run ended, once.

    Args:
        attempt: Its attempt.
        reason: One of states.EXTERNAL_REASONS.
        message: The same for people; empty: the reason's meaning.
        exit_code: The script's, where it is known.
        end_time: None: now.

    Raises:
        Refused: FIELD_INVALID.
    """
    if reason not in EXTERNAL_REASONS:
        raise invalid("reason", f"{reason[:80]!r} is none of {', '.join(EXTERNAL_REASONS)}")
    if len(message) > MAX_MESSAGE or "\0" in message:
        raise invalid("message", f"has more than {MAX_MESSAGE:,} characters, or one that is 0")
    times = {"end_time": end_time} if end_time else {}
    with transaction.atomic():
        heard(attempt)
        transitions.move(
            attempt.pk,
            REASONS[reason].state,
            fencing=None,
            before=(State.RUNNING,),
            reason=reason,
            message=message or MEANING.get(reason, REASONS[reason].meaning),
            exit_code=exit_code,
            **times,
        )


def mark_lost(seconds: float = LOST_SECONDS) -> int:
    """Take those that were not heard of for so long for lost; how many."""
    before = timezone.now() - datetime.timedelta(seconds=seconds)
    silent = Attempt.objects.filter(
        engine=EXTERNAL, state=State.RUNNING.value, last_contact_time__lt=before
    ).values_list("pk", "last_contact_time")
    return sum(
        transitions.move(
            pk,
            State.FAILED,
            fencing=None,
            before=(State.RUNNING,),
            reason="lost",
            message=f"it was not heard of for {round(seconds / 60)} minutes",
            end_time=contact,
        )
        for pk, contact in list(silent)
    )
