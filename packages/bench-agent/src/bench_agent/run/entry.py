"""What `python -I -m bench_agent run` does, in order. The training starts before slow imports."""

import os
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from bench_agent.errors import AttemptFileError
from bench_agent.run.attempt import Attempt, read_attempt
from bench_agent.run.family import adopt_orphans
from bench_agent.run.masking import Masker
from bench_agent.run.notes import Notes
from bench_agent.run.outcome import Outcome
from bench_agent.run.private import Private, read_private
from bench_agent.run.spool import Spool
from bench_agent.run.training import FORWARDED, Ended, Signals, Training

UNUSABLE = 70
"""The exit code where nothing can be started: EX_SOFTWARE of sysexits.h."""

FREE_SECONDS = 0.25
"""Between two looks at what of the output can be given back to the disk."""

OUTPUT_VARIABLE = "BENCH_OUTPUT"

TRACK_FOLDER = "track"
"""In the spool's folder: what the training logs by bench-track, and the agent itself."""


def run(path: Path) -> int:
    """Run an attempt; the exit code, which says nothing about the training: that is in exit.json.

    Args:
        path: Its attempt.json.
    """
    signals = Signals()
    try:
        attempt = read_attempt(path)
        private = read_private(Path(attempt.private))
        agent = _Agent(attempt, private, signals)
    except (AttemptFileError, OSError) as error:
        Notes(path.parent / "spool").say(f"nothing was started: {error}")
        print(f"Error: {error}", file=sys.stderr)
        return UNUSABLE
    agent.run()
    return 0


class _Agent:
    def __init__(self, attempt: Attempt, private: Private, signals: Signals) -> None:
        folder = Path(attempt.spool)
        self._attempt, self._private, self._signals = attempt, private, signals
        self._spool = Spool(folder, Masker(private.values), attempt.log_quota_bytes)
        self._notes = Notes(folder)
        self._environment = {
            "PYTHONUNBUFFERED": "1",
            **os.environ,
            **attempt.environment,
            **private.environment,
        }
        places = {"work": attempt.work, "spool": attempt.spool}
        if OUTPUT_VARIABLE in self._environment:
            places["output"] = self._environment[OUTPUT_VARIABLE]
        self._outcome = Outcome(folder, places)
        self._ended = threading.Event()

    def run(self) -> None:
        adopt_orphans()
        try:
            training = Training(
                self._attempt.command, self._attempt.work, self._environment, self._spool.descriptor
            )
        except OSError as error:
            now = datetime.now(timezone.utc)
            ended = Ended(start_time=now, end_time=now, error=str(error))
            talking = self._start(self._talk)
        else:
            talking = self._start(self._talk)
            self._start(self._free)
            ended = training.wait(self._signals, self._attempt.grace_seconds)
        self._outcome.write(ended, self._spool.written_bytes)
        self._ended.set()
        while talking.is_alive() and not self._signals.wait(0).intersection(FORWARDED):
            talking.join(0.01)
        self._spool.free()

    def _start(self, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=self._guarded, args=(work,), daemon=True)
        thread.start()
        return thread

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # the training must not notice; the runner finds the output in the spool
            self._notes.say(traceback.format_exc())

    def _free(self) -> None:
        while not self._ended.wait(FREE_SECONDS):
            self._spool.free()

    def _talk(self) -> None:
        if not self._private.token:
            self._notes.say("there is no token; the output stays in the spool")
            return
        from bench_agent.run.talking import talk

        tracks = Path(self._attempt.spool) / TRACK_FOLDER
        talk(self._attempt.socket, self._private.token, self._spool, tracks, self._notes, self._ended)
