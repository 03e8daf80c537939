"""The spool goes to the server: as it grows, and from where the server says."""

import threading
import time
from collections.abc import Iterator

import grpc
from bench_auth import AuthError, NotLoggedInError, ServerAnswerError, translate
from bench_protos.runs.v1.attempts_pb2 import AppendLogRequest, AppendLogResponse
from bench_protos.runs.v1.attempts_pb2_grpc import AttemptServiceStub

from bench_agent.run.notes import Notes
from bench_agent.run.spool import Spool

MESSAGE_BYTES = 1 << 20
"""The contract's limit."""

POLL_SECONDS = 0.1
"""Between two looks at the spool, on the training's CPUs; also gathers short lines into one message."""

STREAM_BYTES = 64 << 20
STREAM_SECONDS = 5.0
QUIET_SECONDS = 0.2
"""A stream ends after so much, so long, or so long without output: only its answer says what can be freed,
and a server serves a limited number of them."""

DEADLINE_SECONDS = 30.0
"""Of a stream; the server may take a while for what is under way."""

PAUSES_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Before the next attempt; the last one stays."""

DRAIN_SECONDS = 10.0
"""How long the agent waits for a silent server after the training's end; the runner reads the rest."""


class Shipping:
    """Sends an attempt's output.

    Args:
        stub: The server.
        spool: The output.
        notes: Where failures are said.
        ended: Set when nothing more will be written.
    """

    def __init__(self, stub: AttemptServiceStub, spool: Spool, notes: Notes, ended: threading.Event) -> None:
        self._stub, self._spool, self._notes, self._ended = stub, spool, notes, ended
        self._is_over = False
        self._failures = 0

    def run(self) -> None:
        """Send until all is there after the training's end, or nobody wants it any more."""
        answered: float | None = None  # of the last answer, once the training has ended
        while not self._is_over and not self._is_complete():
            before = self._failures
            if self._spool.read(self._spool.received_bytes, 1, is_whole=self._ended.is_set()):
                self._send()
            else:
                self._ended.wait(POLL_SECONDS)
            if self._ended.is_set() and (answered is None or self._failures <= before):
                answered = time.monotonic()
            if answered is not None and time.monotonic() > answered + DRAIN_SECONDS:
                self._notes.say("the server does not answer; the rest of the output stays in the spool")
                return

    def _is_complete(self) -> bool:
        return self._ended.is_set() and self._spool.received_bytes >= self._spool.wanted_bytes

    def _send(self) -> None:
        try:
            answer = self._stub.AppendLog(
                self._messages(self._spool.received_bytes), timeout=DEADLINE_SECONDS
            )
        except grpc.RpcError as error:
            self._failed(translate(error))
        else:
            self._answered(answer)

    def _answered(self, answer: AppendLogResponse) -> None:
        self._failures = 0
        self._spool.received_bytes = answer.received_bytes
        if answer.truncated:
            self._notes.say(f"the log has reached its quota; the server is at {answer.received_bytes} bytes")
            self._is_over = True

    def _failed(self, error: AuthError) -> None:
        if isinstance(error, NotLoggedInError):
            self._notes.say(f"the token has ended: {error.message}")
            self._is_over = True
            return
        if isinstance(error, ServerAnswerError) and error.reason == "OFFSET_MISMATCH":
            # Should it have lost what has been freed here, it gets zeros for that, and offsets stay.
            self._spool.received_bytes = int(error.metadata["received_bytes"])
        self._notes.say(f"the log is not sent: {error.message}")
        pause = PAUSES_SECONDS[min(self._failures, len(PAUSES_SECONDS) - 1)]
        self._failures += 1
        time.sleep(pause)

    def _messages(self, start: int) -> Iterator[AppendLogRequest]:
        position, opened = start, time.monotonic()
        quiet_since = opened
        while position < start + STREAM_BYTES and time.monotonic() < opened + STREAM_SECONDS:
            is_whole = self._ended.is_set()
            data = self._spool.read(position, MESSAGE_BYTES, is_whole=is_whole)
            if data:
                yield AppendLogRequest(start_offset=position, data=data)
                position += len(data)
                quiet_since = time.monotonic()
            elif is_whole or time.monotonic() > quiet_since + QUIET_SECONDS:
                return
            if len(data) < MESSAGE_BYTES:
                self._ended.wait(POLL_SECONDS)
