"""The one place that writes an attempt's state, and the leases under which a runner may.

Each write is one guarded UPDATE: it says which states it may follow, and with a fencing number it happens
only while the lease that the number is from is the latest one. Leases go by the database's clock.
"""

import datetime
from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db.models import DateTimeField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Coalesce, Now

from bench_server.runs.models import Attempt
from bench_server.runs.states import EXTERNAL, REASONS, State, allowed

UNFINISHED = [state.value for state in State if not state.has_ended]


def move(
    attempt_id: UUID,
    after: State,
    *,
    fencing: int | None,
    before: Collection[State] = tuple(State),
    **fields: Any,
) -> bool:
    """Bring an attempt into a state.

    Args:
        attempt_id: Which.
        after: The state. An end takes a `reason` that belongs to it.
        fencing: Of the caller's lease; None: whoever has it.
        before: Only from one of these states, of those that the table allows.
        fields: More columns to write with it.

    Returns:
        Whether it happened; if not, it is in a state that this one may not follow, or somebody else has it.
    """
    if after.has_ended:
        assert REASONS[fields["reason"]].state is after
        end_time = fields.get("end_time") or Coalesce("end_time", Now())
        fields |= {"end_time": end_time, "waiting_for": "", "lease_owner": "", "lease_expire_time": None}
    if after is State.RUNNING:
        fields.setdefault("start_time", Coalesce("start_time", Now()))
    predecessors = [state.value for state in before if allowed(state, after)]
    return _write(attempt_id, predecessors, fencing, state=after.value, **fields)


def note(attempt_id: UUID, *, fencing: int, **fields: Any) -> bool:
    """Write columns of an unfinished attempt other than its state; whether the lease still was the latest."""
    assert "state" not in fields
    return _write(attempt_id, UNFINISHED, fencing, **fields)


def ask_to_stop(attempt_id: UUID, **fields: Any) -> bool:
    """Record, once, that an unfinished attempt is to end, which its runner looks for; whether it was done."""
    unasked = Attempt.objects.filter(pk=attempt_id, state__in=UNFINISHED, stop_request_time=None)
    return bool(unasked.update(stop_request_time=Now(), change=F("change") + 1, **fields))


def find_again(attempt_id: UUID) -> bool:
    """Let an attempt that was started elsewhere, and was taken for lost, run again; whether it was."""
    lost = Attempt.objects.filter(pk=attempt_id, engine=EXTERNAL, state=State.FAILED.value, reason="lost")
    fields = {"state": State.RUNNING.value, "reason": "", "message": "", "end_time": None}
    return bool(lost.update(change=F("change") + 1, **fields))


def lease(owner: str, seconds: float) -> list[Attempt]:
    """Take every unfinished attempt that nobody holds: those that are new, and those whose runner is gone.

    Args:
        owner: Who takes them; no two runners have the same name, ever.
        seconds: For so long.

    Returns:
        Those that were taken, oldest first, each with a fencing number that is greater than all before.
    """
    free = Q(lease_expire_time=None) | Q(lease_expire_time__lte=Now())
    orphans = Attempt.objects.filter(free, state__in=UNFINISHED).exclude(engine=EXTERNAL)
    found = list(orphans.order_by("create_time", "pk").values_list("pk", "fencing"))
    taken = [
        pk
        for pk, fencing in found
        if orphans.filter(pk=pk, fencing=fencing).update(
            lease_owner=owner, lease_expire_time=_in(seconds), fencing=fencing + 1
        )
    ]
    return list(held(owner).filter(pk__in=taken))


def renew(owner: str, seconds: float) -> set[UUID]:
    """Hold on to the attempts that an owner has; which those are. Others were taken, or have ended."""
    _rows(owner).update(lease_expire_time=_in(seconds))
    return set(_rows(owner).values_list("pk", flat=True))


def held(owner: str) -> QuerySet[Attempt]:
    """The attempts that an owner has, oldest first, with their runs."""
    return _rows(owner).select_related("run__project", "run__creator").order_by("create_time", "pk")


def release(owner: str) -> None:
    """Let others have an owner's attempts at once."""
    _rows(owner).update(lease_owner="", lease_expire_time=None)


def _rows(owner: str) -> QuerySet[Attempt]:
    return Attempt.objects.filter(lease_owner=owner, state__in=UNFINISHED)


def _write(attempt_id: UUID, states: list[int], fencing: int | None, **fields: Any) -> bool:
    rows = Attempt.objects.filter(pk=attempt_id, state__in=states)
    if fencing is not None:
        rows = rows.filter(fencing=fencing)
    return bool(rows.update(change=F("change") + 1, **fields))


def _in(seconds: float) -> "ExpressionWrapper[CombinedExpression]":
    return ExpressionWrapper(
        Now() + datetime.timedelta(seconds=seconds),
        output_field=DateTimeField(),
    )
