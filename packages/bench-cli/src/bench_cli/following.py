"""Follows a run: its log on standard output, all else on standard error, and its result as exit code."""

import threading
from collections.abc import Callable, Iterator

from bench_auth import AuthError
from bench_deploy import LogSlice, LogSource, ProjectRuns, Run, RunState

from bench_cli.log_output import LogOutput, build_output, log_output
from bench_cli.output import Output
from bench_cli.run_texts import EXIT_CODES, end_text, progress_text
from bench_cli.runs import run_document

INTERRUPTED = 130


class Following:
    """One run that is followed to its end.

    Args:
        output: Where messages go.
        runs: Of the project.
        run: The run.
    """

    def __init__(self, output: Output, runs: ProjectRuns, run: Run) -> None:
        self._output, self._runs, self._run = output, runs, run
        self._changed = threading.Condition()
        self._is_over = False
        self._error: AuthError | None = None
        self._said: str | None = None
        self._away: set[int] = set()
        self._next_offset = 0  # of the log that is shown: the first byte that was not

    def to_the_end(self, start_offset: int = 0) -> int:
        """Follow it, from its last attempt on.

        Args:
            start_offset: Of that attempt's log.

        Returns:
            The exit code: 0, 100 if it failed, 103 if it was stopped, 130 after Ctrl-C.

        Raises:
            AuthError: The server refuses.
        """
        threading.Thread(target=self._watch, daemon=True).start()
        first = number = self._run.last_attempt.attempt_number
        shows_build = self._run.state in (RunState.QUEUED, RunState.BUILDING)
        try:
            while self._wait_for(number):
                if shows_build or number > first:
                    build = LogSlice(attempt_number=number, source=LogSource.BUILD, follow=True)
                    self._copy(build_output(), build)
                part = LogSlice(attempt_number=number, start_offset=start_offset, follow=True)
                self._next_offset = start_offset
                self._copy(log_output(), part)
                number, start_offset = number + 1, 0
        except KeyboardInterrupt:
            self._say_how_to_go_on()
            return INTERRUPTED
        return self._end()

    def _watch(self) -> None:
        error: AuthError | None = None
        try:
            for run in self._runs.watch(self._run.run_id, self._notice):
                with self._changed:
                    self._run = run
                    self._say_progress()
                    self._changed.notify_all()
        except AuthError as failure:
            error = failure
        with self._changed:
            self._is_over, self._error = True, error
            self._changed.notify_all()

    def _wait_for(self, number: int) -> bool:
        """Wait until an attempt has left the queue; whether it ever will."""
        with self._changed:
            while not self._has_begun(number):
                if self._error:
                    raise self._error
                if self._is_over:
                    return False
                self._changed.wait()
            return True

    def _has_begun(self, number: int) -> bool:
        attempts = self._run.attempts
        return len(attempts) >= number and attempts[number - 1].state is not RunState.QUEUED

    def _copy(self, to: LogOutput, part: LogSlice) -> None:
        for shown in copied_log(self._runs, self._run.run_id, part, to, self._output, self._notice):
            if part.source is LogSource.OUTPUT:
                self._next_offset = shown

    def _say_progress(self) -> None:
        text = progress_text(run_document(self._run))
        if text and text != self._said:
            self._said = text
            self._output.note(text)

    def _notice(self, error: AuthError | None) -> None:
        thread = threading.get_ident()
        with self._changed:
            if error is None:
                self._away.discard(thread)
                return
            if not self._away:
                message = f"{error.message[:1].upper()}{error.message[1:]}"
                self._output.note(f"{message}; this goes on when it is back.")
            self._away.add(thread)

    def _say_how_to_go_on(self) -> None:
        name = self._run.name
        since = f" --since {self._next_offset}" if self._next_offset > 0 else ""
        self._output.note(
            f"\n{name} goes on. Follow it from here: bench logs -f {name}{since}. Stop it: bench stop {name}"
        )

    def _end(self) -> int:
        document = run_document(self._run)
        if self._run.last_attempt.log_truncated:
            self._output.warn("the log was longer than the server keeps: its rest was left out")
        self._output.note(end_text(document))
        return EXIT_CODES[document["state"]]


def copy_log(runs: ProjectRuns, run_id: str, part: LogSlice, to: LogOutput, output: Output) -> None:
    """`copied_log` to its end."""
    for _ in copied_log(runs, run_id, part, to, output, lambda _: None):
        pass


def copied_log(
    runs: ProjectRuns,
    run_id: str,
    part: LogSlice,
    to: LogOutput,
    output: Output,
    notice: Callable[[AuthError | None], None],
) -> Iterator[int]:
    """Copy a log, and say where a piece of it is missing.

    Args:
        runs: Of the project.
        run_id: The run's id.
        part: What of its logs.
        to: Where to.
        output: Where messages go.
        notice: Told when the server goes away and when it is back.

    Yields:
        After each piece the offset of the first byte that was not passed on.

    Raises:
        AuthError: The server refuses.
    """
    expected = part.start_offset
    for offset, data in runs.read_log(run_id, part, notice):
        if 0 <= expected < offset:
            output.warn(f"{offset - expected:,} bytes of the log are missing here")
        to.write(data)
        expected = offset + len(data)
        yield expected - to.held_bytes
    to.end()
