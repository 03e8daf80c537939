"""How an attempt's state changes: by the table, once, and by who holds the lease."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from bench_server.runs import services, transitions
from bench_server.runs.models import Attempt, Run
from bench_server.runs.states import FOLLOWING, REASONS, State, allowed
from django.db import close_old_connections
from run_tools import new_run
from server_tools import new_user

pytestmark = pytest.mark.usefixtures("server_address")

REASON_OF = {reason.state: code for code, reason in REASONS.items()}


def attempt_in(state: State) -> Attempt:
    attempt = new_run().last_attempt
    Attempt.objects.filter(pk=attempt.pk).update(state=state.value)
    attempt.refresh_from_db()
    return attempt


def move(attempt: Attempt, after: State, fencing: int | None = None) -> bool:
    fields: dict[str, Any] = {"reason": REASON_OF[after]} if after.has_ended else {}
    return transitions.move(attempt.pk, after, fencing=fencing, **fields)


@pytest.mark.parametrize("before", list(State))
def test_only_what_the_table_allows_happens(before: State) -> None:
    for after in State:
        attempt = attempt_in(before)
        assert move(attempt, after) == allowed(before, after)
        attempt.refresh_from_db()
        assert State(attempt.state) is (after if allowed(before, after) else before)
        assert (attempt.end_time is not None) == (after.has_ended and allowed(before, after))


def test_every_reason_belongs_to_an_end() -> None:
    assert all(reason.state.has_ended for reason in REASONS.values())
    assert {reason.state for reason in REASONS.values()} == {state for state in State if state.has_ended}
    assert set(FOLLOWING) == set(State)


def test_of_many_at_once_one_ends_an_attempt() -> None:
    attempt = attempt_in(State.RUNNING)

    def end(after: State) -> bool:
        try:
            return move(attempt, after)
        finally:
            close_old_connections()

    ends = list(itertools.islice(itertools.cycle([State.SUCCEEDED, State.FAILED, State.STOPPED]), 12))
    with ThreadPoolExecutor(6) as threads:
        happened = list(threads.map(end, ends))
    assert happened.count(True) == 1
    attempt.refresh_from_db()
    assert State(attempt.state) is ends[happened.index(True)]


def mine(owner: str, seconds: float = 60) -> list[Attempt]:
    return transitions.lease(owner, seconds)


def owner() -> str:
    return f"runner-{uuid4()}"


def expire(attempt: Attempt) -> None:
    from django.db.models.functions import Now

    Attempt.objects.filter(pk=attempt.pk).update(lease_expire_time=Now())


def test_a_lease_is_held_by_one_until_it_is_over() -> None:
    mine(owner())
    attempt, (first, second) = new_run().last_attempt, (owner(), owner())
    [taken] = mine(first)
    assert (taken.pk, taken.fencing, taken.lease_owner) == (attempt.pk, 1, first)
    assert (mine(second), transitions.renew(first, 60)) == ([], {attempt.pk})
    expire(attempt)
    assert transitions.renew(first, 60) == {attempt.pk}  # nobody was there to take it
    expire(attempt)
    [again] = mine(second)
    assert again.fencing == 2
    assert transitions.renew(first, 60) == set()
    assert not move(attempt, State.BUILDING, fencing=taken.fencing)
    assert not transitions.note(attempt.pk, fencing=taken.fencing, waiting_for="CPUs")
    assert transitions.note(attempt.pk, fencing=again.fencing, waiting_for="CPUs")
    assert move(attempt, State.BUILDING, fencing=again.fencing)
    transitions.release(second)
    [third] = mine(first)
    assert third.fencing == 3


def test_what_has_ended_is_leased_by_nobody() -> None:
    mine(owner())
    attempt = new_run().last_attempt
    [taken] = mine(owner(), seconds=0)
    assert move(attempt, State.BUILDING, taken.fencing)
    assert move(attempt, State.FAILED, taken.fencing)
    assert mine(owner()) == []


def test_of_two_runners_at_once_each_attempt_is_one_ones() -> None:
    mine(owner())
    made = {new_run().last_attempt.pk for _ in range(8)}

    def take(name: str) -> list[UUID]:
        try:
            return [attempt.pk for attempt in mine(name)]
        finally:
            close_old_connections()

    with ThreadPoolExecutor(4) as threads:
        taken = list(itertools.chain(*threads.map(take, [owner() for _ in range(4)])))
    assert len(taken) == len(made)
    assert set(taken) == made


def test_the_oldest_is_first() -> None:
    mine(owner())
    made = [new_run().last_attempt.pk for _ in range(3)]
    assert [attempt.pk for attempt in mine(owner())] == made


def again(run: Run) -> Run:
    return services.find_run(run.project, run.pk)


def test_a_stop_ends_what_is_queued_and_asks_what_is_not() -> None:
    run = new_run()
    user = run.creator
    assert user is not None
    services.stop(run, user)
    stopped = again(run).last_attempt
    assert (State(stopped.state), stopped.reason, stopped.stopper) == (State.STOPPED, "stopped", user)
    assert stopped.message == f"{user.username} stopped it before it began"
    run = new_run()
    move(run.last_attempt, State.BUILDING)
    services.stop(run, user)
    asked = again(run).last_attempt
    assert (State(asked.state), asked.stopper) == (State.BUILDING, user)
    assert asked.stop_request_time is not None
    services.stop(run, new_user())  # the first one who asks is kept
    assert again(run).last_attempt.stop_request_time == asked.stop_request_time
    assert again(run).last_attempt.stopper == user


def end(run: Run, reason: str) -> bool:
    attempt = again(run).last_attempt
    transitions.move(attempt.pk, State.BUILDING, fencing=None)
    transitions.move(attempt.pk, State.STARTING, fencing=None)
    return services.end_attempt(attempt, reason, "so it was", fencing=attempt.fencing)


def test_a_run_is_tried_again_for_what_is_not_its_fault() -> None:
    run = new_run(retry_count=2)
    for number in (2, 3):
        assert end(run, "lost")
        last = again(run).last_attempt
        assert (last.number, State(last.state)) == (number, State.QUEUED)
    assert end(run, "lost")
    assert (again(run).last_attempt.number, again(run).last_attempt.reason) == (3, "lost")
    services.resume(again(run), uuid4())
    assert end(run, "lost")
    assert again(run).last_attempt.number == 5


@pytest.mark.parametrize("reason", sorted(code for code, reason in REASONS.items() if not reason.is_retried))
def test_what_is_its_fault_or_was_wanted_is_final(reason: str) -> None:
    run = new_run(retry_count=2)
    assert end(run, reason)
    assert not services.end_attempt(again(run).last_attempt, reason, "twice", fencing=0)
    assert [(last.number, last.reason, last.message) for last in again(run).attempts.all()] == [
        (1, reason, "so it was")
    ]


def test_what_was_to_stop_is_not_tried_again() -> None:
    run = new_run(retry_count=2)
    assert run.creator is not None
    transitions.move(run.last_attempt.pk, State.BUILDING, fencing=None)
    services.stop(run, run.creator)
    end(run, "lost")
    assert again(run).last_attempt.number == 1
