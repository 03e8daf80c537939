"""One attempt's life, from its turn to its end. A runner that comes after can take every step again."""

import logging
import signal
import threading
import time
from pathlib import Path
from typing import Any

from bench_core import BenchError, ProjectFileError
from bench_deploy.engine import Container, ContainerState
from bench_deploy.errors import EngineAwayError, ImageError
from django.db import DatabaseError, connections
from django.utils import timezone

from bench_server.runner import logs, tracks
from bench_server.runner.endings import Ending, Evidence, decide
from bench_server.runner.exit_report import ExitReport, read_report
from bench_server.runner.folders import remove_folder
from bench_server.runner.launch import Launch
from bench_server.runner.workshop import Workshop
from bench_server.runs import services, transitions
from bench_server.runs.models import Attempt
from bench_server.runs.states import REASONS, State

logger = logging.getLogger("bench_server.runner")

WATCH_SECONDS = 1.0
"""How often a running attempt's row is looked at."""

AWAY_SECONDS = 1.0
"""Between two tries to reach an engine that is away."""

KILL_SECONDS = 15.0
"""The agent kills the training after the grace period; it has so long to send the rest of the log."""

ENGINE_AWAY = "the engine does not answer; what is known is from before"


class Left(Exception):
    """The attempt is not this runner's any more, or the runner is to end."""


class Stopped(Exception):
    """A stop was recorded before the container was made."""


class Keeper:
    """Sees one attempt to its end.

    Args:
        attempt: A leased attempt that is past QUEUED.
        workshop: What the runner works with.
        leave: Set when the runner is to end: the attempt goes on without it.
    """

    def __init__(self, attempt: Attempt, workshop: Workshop, leave: threading.Event) -> None:
        self._attempt, self._fencing = attempt, attempt.fencing
        self._workshop, self._engine, self._leave = workshop, workshop.engine, leave
        self._launch = Launch(attempt, workshop)
        self._kill_at: float | None = None

    def run(self) -> None:
        """Take the steps that are left."""
        try:
            self._steps()
        except Left:
            logger.info("%s: left to others", self._launch.name)
        finally:
            connections.close_all()  # of this thread, which ends

    def _steps(self) -> None:
        try:
            if self._state is State.BUILDING:
                self._build()
            if self._state is State.STARTING:
                self._start()
        except Stopped:
            return self._end(Ending("stopped", ""))
        except (EngineAwayError, Left, DatabaseError):
            raise
        except (ImageError, ProjectFileError) as error:
            return self._end(Ending("image_failed", _text(error)))
        except BenchError as error:
            return self._end(Ending("start_failed", _text(error)))
        except Exception as error:
            logger.exception("%s: it was not started", self._launch.name)
            return self._end(Ending("start_failed", f"the server failed: {type(error).__name__}: {error}"))
        if not self._state.has_ended:
            self._end(self._watch())
        return None

    @property
    def _state(self) -> State:
        return State(self._attempt.state)

    def _build(self) -> None:
        self._check_stop()
        self._launch.put_code()
        with self._launch.build_log.open("ab") as log:

            def say(line: str) -> None:
                log.write(f"{line}\n".encode())
                log.flush()
                self._check_stop()

            built = self._launch.build(say)
        self._move(State.STARTING, image_id=built.image_id, lock=built.lock, engine=self._engine.name)

    def _start(self) -> None:
        self._check_stop()
        found = self._engine.inspect(self._launch.name)
        if found is None or found.state is ContainerState.CREATED:  # a runner may have died between the two
            self._engine.submit(self._launch.prepare())
        self._move(State.RUNNING, boot_id=boot_id())

    def _watch(self) -> Ending:
        while True:
            container = self._wait()
            if container is None or container.state is not ContainerState.RUNNING:
                return self._judge(container)
            self._look()

    def _wait(self) -> Container | None:
        while True:
            try:
                found = self._engine.wait(self._launch.name, WATCH_SECONDS)
                if self._attempt.waiting_for and found and found.state is ContainerState.RUNNING:
                    self._note(waiting_for="")
                return found
            except EngineAwayError:
                if not self._attempt.waiting_for:
                    self._note(waiting_for=ENGINE_AWAY)
                self._pause(AWAY_SECONDS)

    def _look(self) -> None:
        """Do what is to be done while it runs."""
        self._refresh()
        limit = self._launch.spec.limit_seconds
        age = (timezone.now() - self._attempt.start_time).total_seconds() if self._attempt.start_time else 0.0
        if limit and age > limit and self._attempt.stop_request_time is None:
            transitions.ask_to_stop(self._attempt.pk, reason="max_hours")
            self._refresh()
        if self._attempt.stop_request_time is None:
            return
        if self._kill_at is None:
            self._move(State.STOPPING)
            self._kill_at = time.monotonic() + self._launch.spec.grace_seconds + KILL_SECONDS
            self._engine.signal(self._launch.name, signal.SIGTERM)
        elif time.monotonic() > self._kill_at:
            self._engine.signal(self._launch.name, signal.SIGKILL)

    def _judge(self, container: Container | None) -> Ending:
        self._refresh()
        self._report = read_report(self._launch.host.spool / "exit.json")
        stop_reason = (self._attempt.reason or "stopped") if self._attempt.stop_request_time else ""
        return decide(
            Evidence(
                stop_reason=stop_reason,
                host_restarted=bool(self._attempt.boot_id) and self._attempt.boot_id != boot_id(),
                engine_was_away=bool(self._attempt.waiting_for),
                container=container,
                report=self._report,
            )
        )

    _report: ExitReport | None = None

    def _end(self, ending: Ending) -> None:
        """Store the log and the end, then remove what was needed for it, in this order."""
        if self._launch.host.spool.exists():
            logs.drain(self._attempt, self._launch)
            tracks.drain(self._attempt, self._launch.host.spool)
        times: dict[str, Any] = {}
        if self._report is not None:
            known = {"start_time": self._report.start_time, "end_time": self._report.end_time}
            times = {name: found for name, found in known.items() if found is not None}
        message = ending.message or self._meaning(ending.reason)
        done = services.end_attempt(
            self._attempt,
            ending.reason,
            message,
            fencing=self._fencing,
            exit_code=ending.exit_code,
            **times,
        )
        if not done:
            raise Left
        self.clean_up()

    def _meaning(self, reason: str) -> str:
        stopper = self._attempt.stopper
        return (
            f"{stopper.username} stopped it" if reason == "stopped" and stopper else REASONS[reason].meaning
        )

    def clean_up(self) -> None:
        """Remove the container of an attempt that has ended, its token and its secrets."""
        remove_folder(self._launch.host.private)
        while True:
            try:
                return self._engine.remove(self._launch.name)
            except EngineAwayError:
                self._pause(AWAY_SECONDS)

    def _check_stop(self) -> None:
        self._refresh()
        if self._attempt.stop_request_time is not None:
            raise Stopped

    def _refresh(self) -> None:
        if self._leave.is_set():
            raise Left
        self._attempt.refresh_from_db()
        if self._attempt.fencing != self._fencing:
            raise Left

    def _move(self, state: State, **fields: Any) -> None:
        if self._state is not state and not transitions.move(
            self._attempt.pk, state, fencing=self._fencing, **fields
        ):
            raise Left
        self._attempt.refresh_from_db()

    def _note(self, **fields: Any) -> None:
        if not transitions.note(self._attempt.pk, fencing=self._fencing, **fields):
            raise Left
        self._attempt.refresh_from_db()

    def _pause(self, seconds: float) -> None:
        if self._leave.wait(seconds):
            raise Left


def boot_id() -> str:
    """Another one after each start of the machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # macOS
        import psutil

        return str(int(psutil.boot_time()))


def _text(error: BenchError) -> str:
    return f"{error.message}. {error.hint}" if error.hint else error.message
