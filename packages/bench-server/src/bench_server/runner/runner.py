"""Takes attempts, gives them their turn, and sets a keeper to each."""

import logging
import os
import threading
import time
from uuid import UUID, uuid4

import psutil
from bench_deploy.errors import EngineError
from django.db import close_old_connections

from bench_server.runner.folders import private_root, remove_folder
from bench_server.runner.keeper import Keeper
from bench_server.runner.launch import SERVER_LABEL
from bench_server.runner.workshop import Workshop
from bench_server.runs import machine, transitions
from bench_server.runs.announced import announce
from bench_server.runs.machine import Grant, Machine, Wish
from bench_server.runs.models import Attempt
from bench_server.runs.spec import RunSpec
from bench_server.runs.states import State

logger = logging.getLogger("bench_server.runner")

TURN_SECONDS = 0.2
"""Between looks for new attempts."""

LEASE_SECONDS = 30.0
RENEW_SECONDS = 5.0
"""A runner that did not renew for the length of its lease is taken for dead."""

MACHINE_SECONDS = 5.0
"""How long a look at the machine is good for: that at GPUs starts a program."""

FAILED_SECONDS = 5.0
"""A keeper that failed for no fault of its attempt is tried again after so long."""


class Runner:
    """Runs what was submitted, until it is told to leave; what runs then goes on.

    Args:
        workshop: What it works with.
        leave: Set when `run` is to return.
    """

    def __init__(self, workshop: Workshop, leave: threading.Event) -> None:
        self._workshop = workshop
        self._owner = f"{os.uname().nodename}:{os.getpid()}:{uuid4().hex}"
        self._leave = leave
        self._held: dict[UUID, Attempt] = {}
        self._keepers: dict[UUID, threading.Thread] = {}
        self._again_at: dict[UUID, float] = {}
        self._machine: tuple[float, Machine] | None = None
        self._renewed = 0.0

    def run(self) -> None:
        """Take turns until told to leave."""
        is_swept = False
        _release_dead()
        while not self._leave.is_set():
            try:
                is_swept = is_swept or self._sweep()
                self._turn()
            except Exception:
                logger.exception("a turn failed; the next one comes")
            close_old_connections()
            self._leave.wait(TURN_SECONDS)
        for keeper in list(self._keepers.values()):
            keeper.join()
        transitions.release(self._owner)

    def _turn(self) -> None:
        self._look()
        self._hold()
        self._keepers = {pk: keeper for pk, keeper in self._keepers.items() if keeper.is_alive()}
        self._give_turns()
        now = time.monotonic()
        for pk, attempt in self._held.items():
            is_due = self._again_at.get(pk, 0.0) <= now
            if attempt.state != State.QUEUED.value and pk not in self._keepers and is_due:
                self._again_at[pk] = now + FAILED_SECONDS
                self._keepers[pk] = self._start_keeper(attempt)

    def _hold(self) -> None:
        """Take what is new, and keep what is held."""
        transitions.lease(self._owner, LEASE_SECONDS)
        if time.monotonic() - self._renewed >= RENEW_SECONDS:
            transitions.renew(self._owner, LEASE_SECONDS)
            self._renewed = time.monotonic()
        self._held = {attempt.pk: attempt for attempt in transitions.held(self._owner)}

    def _give_turns(self) -> None:
        """First come, first served: nobody passes the oldest one that waits."""
        queued = [attempt for attempt in self._held.values() if attempt.state == State.QUEUED.value]
        if not queued:
            return
        here = self._look()
        taken = [
            Grant(cpu_millis=a.cpu_millis, memory_bytes=a.memory_bytes, gpus=tuple(a.gpus))
            for a in self._held.values()
            if a.state != State.QUEUED.value
        ]
        blocked = ""
        for attempt in sorted(queued, key=lambda a: (a.create_time, a.pk)):
            given = blocked or machine.give(here, taken, _wish(attempt))
            if isinstance(given, Grant):
                taken.append(given)
                self._begin(attempt, given)
            else:
                blocked = "waits for those that came before"
                if attempt.waiting_for != given:
                    transitions.note(attempt.pk, fencing=attempt.fencing, waiting_for=given)

    def _begin(self, attempt: Attempt, given: Grant) -> None:
        transitions.move(
            attempt.pk,
            State.BUILDING,
            fencing=attempt.fencing,
            waiting_for="",
            cpu_millis=given.cpu_millis,
            memory_bytes=given.memory_bytes,
            gpus=list(given.gpus),
        )
        attempt.refresh_from_db()

    def _look(self) -> Machine:
        now = time.monotonic()
        if self._machine is None or now - self._machine[0] > MACHINE_SECONDS:
            self._machine = (now, machine.look())
            announce(self._workshop.data / "runs", self._machine[1])
        return self._machine[1]

    def _start_keeper(self, attempt: Attempt) -> threading.Thread:
        fresh = Attempt.objects.select_related("run__project", "run__bundle__blob").get(pk=attempt.pk)
        keeper = Keeper(fresh, self._workshop, self._leave)
        thread = threading.Thread(target=_keep, args=(keeper, str(attempt.pk)), name=f"keeper-{attempt.pk}")
        thread.start()
        return thread

    def _sweep(self) -> bool:
        """Remove what a killed runner left of attempts that have ended; whether it could be done."""
        engine, server_id = self._workshop.engine, self._workshop.server_id
        living = {
            (str(run), str(number))
            for run, number in Attempt.objects.filter(state__in=transitions.UNFINISHED).values_list(
                "run", "number"
            )
        }
        try:
            for container in engine.list(SERVER_LABEL, server_id):
                if (container.labels.get("bench.run"), container.labels.get("bench.attempt")) not in living:
                    engine.remove(container.name)
        except EngineError as error:
            logger.warning("%s", error)
            return False
        root = private_root(self._workshop.data, server_id)
        for left in root.iterdir() if root.is_dir() else []:
            run, _, number = left.name.rpartition("-")
            if (run, number) not in living:
                remove_folder(left)
        return True


def _keep(keeper: Keeper, name: str) -> None:
    try:
        keeper.run()
    except Exception:
        logger.exception("attempt %s: its keeper failed, and is tried again", name)


def _release_dead() -> None:
    """Let go of what a killed runner of this machine has: its leases would be waited for."""
    owners = Attempt.objects.filter(state__in=transitions.UNFINISHED).exclude(lease_owner="")
    for owner in set(owners.values_list("lease_owner", flat=True)):
        node, _, rest = owner.rpartition(":")[0].rpartition(":")
        if node == os.uname().nodename and not psutil.pid_exists(int(rest)):
            transitions.release(owner)


def _wish(attempt: Attempt) -> Wish:
    spec = RunSpec.from_json(attempt.run.spec)
    return Wish(cpu_millis=spec.cpu_millis, memory_bytes=spec.memory_bytes, gpu_count=spec.gpu_count)
