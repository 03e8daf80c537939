"""One thread sends what trainings write to the server, from where it has each file, and syncs the files."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import grpc
from bench_auth import AuthError, InvalidError, NotFoundError, NotLoggedInError, NotPossibleError, translate
from bench_track.errors import RecordError

from bench_agent.track.files import TrackFile, TrackFiles

MESSAGE_BYTES = 1 << 20
"""The contract's limit."""

POLL_SECONDS = 0.25
"""Between two looks at the files; what came in between goes in one call, and shows as live."""

SYNC_SECONDS = 2.0
"""What a crash of the machine may cost."""

DEADLINE_SECONDS = 30.0
"""Of a call; the server may take a while for what is under way."""

PAUSES_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Before the next attempt; the last one stays."""

PASSING = ("UPLOAD_IN_PROGRESS", "OFFSET_MISMATCH")
"""Refusals that pass."""


class Answer(Protocol):
    """What the server says to a call."""

    received_bytes: int
    truncated: bool


@dataclass(frozen=True, kw_only=True)
class Way:
    """How tracks get to the server.

    Args:
        append: Makes the call.
        message: The contract's message.
        names: What its first message says besides what every way has.
    """

    append: Callable[..., Answer]
    message: Callable[..., Any]
    names: Mapping[str, str]

    def send(self, writer: str, start: int, data: bytes) -> Answer:
        """Send bytes of a track.

        Raises:
            AuthError: They are not there, or not all of them.
        """
        try:
            return self.append(self._messages(writer, start, data), timeout=DEADLINE_SECONDS)
        except grpc.RpcError as error:
            raise translate(error) from None

    def _messages(self, writer: str, start: int, data: bytes) -> Iterator[Any]:
        first = {**self.names, "writer": writer, "start_offset": start}
        for begin in range(0, len(data), MESSAGE_BYTES):
            piece = data[begin : begin + MESSAGE_BYTES]
            yield self.message(data=piece, **({} if begin else first))


class TrackShipping:
    """Sends the files of a folder.

    Args:
        folder: The folder; it need not exist yet.
        way: To the server.
        say: Told of failures.
        ended: Set when nothing more will be written.
        drain_seconds: How long a silent server is waited for after that.
    """

    def __init__(
        self,
        folder: Path,
        way: Way,
        say: Callable[[str], None],
        ended: threading.Event,
        *,
        drain_seconds: float,
    ) -> None:
        self._files, self._way, self._say, self._ended = TrackFiles(folder), way, say, ended
        self._drain_seconds = drain_seconds
        self._refused: set[str] = set()
        self._failures = 0
        self._answered = self._synced = time.monotonic()
        self._is_over = False

    def run(self) -> bool:
        """Send until all is there after the end, or nobody wants it; whether all of it is there."""
        while not self._is_over:
            is_last = self._ended.is_set()  # before the look: what was written last is seen by it
            has_more = self._send_new()
            self._sync(at_once=is_last)
            if is_last:
                if not has_more and not self._failures:
                    return not self._refused
                if time.monotonic() > max(self._answered, self._ended_at()) + self._drain_seconds:
                    self._say("the server does not answer; the rest of what was logged stays in the folder")
                    return False
            if self._failures:
                time.sleep(PAUSES_SECONDS[min(self._failures, len(PAUSES_SECONDS)) - 1])
            elif not has_more and not is_last:
                self._ended.wait(POLL_SECONDS)
        return False

    _end: float | None = None

    def _ended_at(self) -> float:
        self._end = time.monotonic() if self._end is None else self._end
        return self._end

    def _send_new(self) -> bool:
        """Send a portion of each file; whether there was more than that.

        What is written meanwhile does not count: it waits, and goes with what comes behind it.
        """
        has_more = False
        for file in self._files.look():
            if file.writer in self._refused or self._is_over:
                continue
            try:
                size = file.size
                if data := file.portion():
                    self._send(file, data)
                    has_more = has_more or file.received < size
            except (RecordError, OSError) as error:
                self._refuse(file, str(error))
            except AuthError as error:
                self._failed(file, error)
                return True
        return has_more

    def _send(self, file: TrackFile, data: bytes) -> None:
        before = file.received
        answer = self._way.send(file.writer, before, data)
        self._failures, self._answered = 0, time.monotonic()
        file.note_received(answer.received_bytes)
        if answer.truncated:
            self._say("the run has reached its quota; what is logged now is left out")
        if answer.received_bytes <= before:
            self._refuse(file, "the server does not take what follows")

    def _failed(self, file: TrackFile, error: AuthError) -> None:
        reason = getattr(error, "reason", "")
        if isinstance(error, NotLoggedInError):
            self._say(f"the token has ended: {error.message}")
            self._is_over = True
        elif reason == "OFFSET_MISMATCH":
            self._answered = time.monotonic()
            file.note_received(int(error.metadata["received_bytes"]))  # type: ignore[attr-defined]
        elif isinstance(error, (NotFoundError, NotPossibleError)) and reason not in PASSING:
            self._say(f"the run takes nothing more: {error.message}")
            self._is_over = True
        elif isinstance(error, InvalidError):
            self._refuse(file, error.message)
        else:
            self._say(f"what was logged is not sent: {error.message}")
            self._failures += 1

    def _refuse(self, file: TrackFile, why: str) -> None:
        self._refused.add(file.writer)
        self._say(f"{file.writer} is not sent from byte {file.received:,} on: {why}")

    def _sync(self, *, at_once: bool) -> None:
        if not at_once and time.monotonic() < self._synced + SYNC_SECONDS:
            return
        for file in self._files.look():
            try:
                file.sync()
            except OSError as error:
                self._say(f"{file.writer} may not be on the disk: {error}")
        self._synced = time.monotonic()
