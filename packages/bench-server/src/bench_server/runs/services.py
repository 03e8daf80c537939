"""Runs: submitted, found, stopped, tried again, deleted. RPCs, pages and the runner only translate."""

import re
import time
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import OuterRef, QuerySet, Subquery
from uuid6 import uuid7

from bench_server.accounts.models import Token, User
from bench_server.code.services import find_bundle, register_bundle
from bench_server.datasets.services import find_version as find_dataset_version
from bench_server.errors import Refused, invalid
from bench_server.looking import look
from bench_server.projects.models import Project
from bench_server.projects.services import lock
from bench_server.runs import attempt_tokens
from bench_server.runs.announced import engine_problem, never_here
from bench_server.runs.disk import check_room
from bench_server.runs.labels import MAX_TAGS, Labels, is_label
from bench_server.runs.machine import Wish
from bench_server.runs.models import Attempt, Run, RunPin, RunTag
from bench_server.runs.spec import RunSpec
from bench_server.runs.states import EXTERNAL, REASONS, State
from bench_server.runs.transitions import ask_to_stop, move
from bench_server.runs.trees import remove_tree

WATCH_SECONDS = 0.1
"""Between looks at whether a run has changed."""

ID_PREFIX = re.compile("[0-9a-f]{8,32}")
"""The beginning of a run's id, without hyphens."""


def submit(project: Project, user: User, run_id: UUID, labels: Labels, spec: RunSpec) -> tuple[Run, bool]:
    """Make a run with its first attempt, queued.

    Args:
        project: Whose.
        user: Who makes it.
        run_id: The caller's; the same one with the same spec gives the same run.
        labels: What it is found by.
        spec: What is run, and with what.

    Returns:
        The run, and whether it was there.

    Raises:
        Refused: See SubmitRun.
    """
    if made := _made_before(project, run_id, spec):
        return made, True
    _check_machine(spec)
    check_room()
    register_bundle(project, spec.bundle_digest)
    try:
        with transaction.atomic():
            lock(project)
            if made := _made_before(project, run_id, spec):
                return made, True
            create(project, user, run_id, labels, spec)
    except IntegrityError:
        raise taken(run_id, labels.name) from None
    return find_run(project, run_id), False


def _check_machine(spec: RunSpec) -> None:
    if problem := engine_problem(settings.FOLDER.runs):
        raise Refused("ENGINE_MISSING", problem.message, hint=problem.hint)
    wish = Wish(cpu_millis=spec.cpu_millis, memory_bytes=spec.memory_bytes, gpu_count=spec.gpu_count)
    if problem_of_wish := never_here(settings.FOLDER.runs, wish):
        raise invalid("spec", problem_of_wish, hint="Ask for less.")


def _made_before(project: Project, run_id: UUID, spec: RunSpec) -> Run | None:
    made = runs_of(project).filter(pk=run_id).first()
    if made is not None and made.spec_digest != spec.digest:
        raise taken(run_id, "")
    return made


def taken(run_id: UUID, name: str) -> Refused:
    """The refusal of a run whose id or name another one has."""
    if Run.objects.filter(pk=run_id).exists() or not name:
        return Refused(
            "RUN_ID_TAKEN", f"there is a run {run_id} with another spec", hint="Make another id for this one."
        )
    return Refused(
        "RUN_NAME_TAKEN", f"the project has a run {name!r}", hint="Take another name, or delete that run."
    )


def create(
    project: Project, user: User, run_id: UUID, labels: Labels, spec: RunSpec, *, engine: str = ""
) -> None:
    """Make the rows of a run and its first attempt; the caller's transaction has locked the project."""
    pinned = [find_dataset_version(project, name, number) for name, number in sorted(spec.datasets)]
    if labels.parent is not None:
        find_run(project, labels.parent)
    run = Run.objects.create(
        pk=run_id,
        project=project,
        name=unicodedata.normalize("NFC", labels.name) or _new_name(project),
        group=labels.group,
        parent_id=labels.parent,
        spec=spec.to_json(),
        spec_digest=spec.digest,
        bundle=find_bundle(project, spec.bundle_digest) if spec.bundle_digest else None,
        creator=user,
    )
    RunTag.objects.bulk_create(RunTag(run=run, tag=tag) for tag in sorted(set(labels.tags)))
    RunPin.objects.bulk_create(
        RunPin(
            run=run,
            dataset_version=version,
            dataset=version.dataset.name,
            number=version.number,
            fingerprint=version.fingerprint,
        )
        for version in pinned
    )
    Attempt.objects.create(
        run=run, number=1, request_id=run_id, retries_left=spec.retry_count, lock=spec.lock, engine=engine
    )


def _new_name(project: Project) -> str:
    """`run-7` for the seventh; a later number if somebody has taken that, or runs were deleted."""
    number = project.runs.count() + 1
    while project.runs.filter(name__iexact=f"run-{number}").exists():
        number += 1
    return f"run-{number}"


def runs_of(project: Project) -> QuerySet[Run]:
    """A project's runs, with what is shown of them."""
    rows = project.runs.select_related("creator").order_by("-pk")
    return rows.prefetch_related("attempts__stopper", "tags", "pins")


def runs_in(project: Project, states: Collection[State] = (), tags: Sequence[str] = ()) -> QuerySet[Run]:
    """A project's runs in one of these states, or any if none is named, with all of these tags.

    Raises:
        Refused: FIELD_INVALID.
    """
    rows = runs_of(project)
    if len(tags) > MAX_TAGS or not all(map(is_label, tags)):
        raise invalid("tags", "no run has such")
    for tag in tags:
        rows = rows.filter(tags__tag=tag)
    if states:
        latest = Attempt.objects.filter(run=OuterRef("pk")).order_by("-number")
        rows = rows.annotate(state=Subquery(latest.values("state")[:1]))
        rows = rows.filter(state__in=[state.value for state in states])
    return rows


def find_run(project: Project, run_id: UUID) -> Run:
    """A run by its id.

    Raises:
        Refused: RUN_NOT_FOUND.
    """
    found = runs_of(project).filter(pk=run_id).first()
    if found is None:
        raise _not_found(project, str(run_id))
    return found


def look_up(project: Project, text: str) -> Run:
    """A run by its id, its name, or the beginning of its id if no other has that.

    Raises:
        Refused: RUN_NOT_FOUND.
    """
    digits = text.lower().replace("-", "")
    rows, name = runs_of(project), unicodedata.normalize("NFC", text).replace("\0", "\ufffd")
    if not ID_PREFIX.fullmatch(digits):
        found = list(rows.filter(name__iexact=name))
    elif len(digits) == 32:
        found = list(rows.filter(pk=UUID(digits)))
    else:
        span = (UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))
        found = list(rows.filter(name__iexact=name)) or list(rows.filter(pk__range=span)[:2])
    if len(found) != 1:
        raise _not_found(project, text, ambiguous=len(found) > 1)
    return found[0]


def _not_found(project: Project, text: str, *, ambiguous: bool = False) -> Refused:
    if ambiguous:
        return Refused(
            "RUN_NOT_FOUND",
            f"more than one run begins with {text!r}",
            hint="Give more of its id, or its name.",
        )
    return Refused("RUN_NOT_FOUND", f"{project.name} has no run {text!r}", hint="`bench runs` lists them.")


def find_attempt(run: Run, number: int) -> Attempt:
    """An attempt of a run; number 0 is the last.

    Raises:
        Refused: FIELD_INVALID.
    """
    if not number:
        return run.last_attempt
    for attempt in run.attempts.all():
        if attempt.number == number:
            return attempt
    raise invalid("attempt_number", f"{run.name} has no attempt {number}")


def stop(run: Run, user: User) -> None:
    """End a queued run at once, and ask the runner to end one that is further; what has ended stays so.

    Raises:
        Refused: RUN_EXTERNAL.
    """
    attempt = run.last_attempt
    if attempt.engine == EXTERNAL:
        raise _external(run)
    with transaction.atomic():
        if ask_to_stop(attempt.pk, stopper=user):
            move(
                attempt.pk,
                State.STOPPED,
                fencing=None,
                before=(State.QUEUED,),
                reason="stopped",
                message=f"{user.username} stopped it before it began",
            )


def watch(project: Project, run_id: UUID) -> Iterator[Run | None]:
    """The run now, and again after each change until its last attempt has ended; None while nothing changes.

    Raises:
        Refused: RUN_NOT_FOUND.
    """
    seen = None
    while True:
        rows = Attempt.objects.filter(run=run_id, run__project=project).order_by("-number")
        mark = look(rows.values_list("number", "change").first)  # before the run: no change is missed
        if mark is None or mark != seen:
            run = find_run(project, run_id)
            yield run
            if run.last_attempt.has_ended:
                return
            seen = mark
        yield None
        time.sleep(WATCH_SECONDS)


def end_attempt(attempt: Attempt, reason: str, message: str, *, fencing: int, **fields: Any) -> bool:
    """Record how an attempt ended, and queue another one if its run is to be tried again for that.

    Args:
        attempt: Which.
        reason: One of states.REASONS, which says the state too.
        message: The same for people, with the values.
        fencing: Of the caller's lease.
        fields: More columns to write with it, such as `exit_code` and `end_time`.

    Returns:
        Whether it happened: False if it had ended, or somebody else has the lease.
    """
    with transaction.atomic():
        kind = REASONS[reason]
        if not move(attempt.pk, kind.state, fencing=fencing, reason=reason, message=message, **fields):
            return False
        attempt_tokens.end(attempt)
        ended = Attempt.objects.get(pk=attempt.pk)
        if kind.is_retried and ended.retries_left and ended.stop_request_time is None:
            _follow(ended, uuid7(), ended.retries_left - 1)
        return True


def resume(run: Run, request_id: UUID) -> None:
    """Queue a new attempt of a run that has ended.

    Args:
        run: Which.
        request_id: The caller's; the same one makes one attempt.

    Raises:
        Refused: RUN_NOT_ENDED, RUN_EXTERNAL, DISK_FULL.
    """
    if run.last_attempt.engine == EXTERNAL:
        raise _external(run)
    if run.attempts.filter(request_id=request_id).exists():
        return
    check_room()
    with transaction.atomic():
        lock(run.project)
        last = run.attempts.order_by("-number").first()
        if last is None:  # it was deleted meanwhile
            raise _not_found(run.project, run.name)
        if run.attempts.filter(request_id=request_id).exists():
            return
        if not last.has_ended:
            raise _not_ended(run, last)
        _follow(last, request_id, RunSpec.from_json(run.spec).retry_count)


def delete_run(run: Run) -> None:
    """Delete a run that has ended, with its logs and files.

    Raises:
        Refused: RUN_NOT_ENDED.
    """
    run_id = run.pk  # Django takes it from what it has deleted
    with transaction.atomic():
        lock(run.project)
        last = run.attempts.order_by("-number").first()
        if last is not None and not last.has_ended:
            raise _not_ended(run, last)
        Token.objects.filter(attempt__run=run).delete()
        run.delete()
    remove_files(run_id)


def remove_files(run_id: UUID) -> None:
    """Remove what is on the disk of a run that has no row any more."""
    for folder in (settings.FOLDER.runs, settings.FOLDER.logs, settings.FOLDER.tracks):
        remove_tree(folder / str(run_id))


def _follow(last: Attempt, request_id: UUID, retries_left: int) -> None:
    """A new attempt with the same lock."""
    Attempt.objects.create(
        run_id=last.run_id,
        number=last.number + 1,
        request_id=request_id,
        retries_left=retries_left,
        lock=last.lock,
    )


def _external(run: Run) -> Refused:
    return Refused(
        "RUN_EXTERNAL",
        f"{run.name} was started elsewhere, and the server does not run it",
        hint="End its script, or start it, where it runs.",
    )


def _not_ended(run: Run, attempt: Attempt) -> Refused:
    return Refused(
        "RUN_NOT_ENDED",
        f"{run.name} has not ended: it is {State(attempt.state).name.lower()}",
        hint=f"Stop it first: `bench stop {run.name}`.",
    )
