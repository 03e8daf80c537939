"""AttemptService as its contract says, with a file for a log: `python log_server.py SOCKET LOG QUOTA TOKEN`.

A process of its own, so that it can be killed.
"""

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import grpc
from bench_protos.runs.v1 import attempts_pb2 as pb
from bench_protos.runs.v1.attempts_pb2_grpc import (
    AttemptServiceServicer,
    add_AttemptServiceServicer_to_server,
)
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status


class Attempts(AttemptServiceServicer):
    """One attempt's calls."""

    def __init__(self, log: Path, quota: int, token: str) -> None:
        self._log, self._quota, self._token = log, quota, token
        self._turn = threading.Lock()
        self._left_out = 0

    def Heartbeat(self, request: pb.HeartbeatRequest, context: grpc.ServicerContext) -> pb.HeartbeatResponse:
        self._check(context)
        with self._log.with_suffix(".beats").open("a") as beats:
            beats.write(f"{request.training} {request.spool_bytes}\n")
        return pb.HeartbeatResponse(received_bytes=self._received())

    def AppendLog(
        self, requests: Iterator[pb.AppendLogRequest], context: grpc.ServicerContext
    ) -> pb.AppendLogResponse:
        self._check(context)
        if not self._turn.acquire(blocking=False):
            _refuse(context, code_pb2.ABORTED, "UPLOAD_IN_PROGRESS")
        try:
            return self._append(requests, context)
        finally:
            self._turn.release()

    def _append(
        self, requests: Iterator[pb.AppendLogRequest], context: grpc.ServicerContext
    ) -> pb.AppendLogResponse:
        position: int | None = None
        with self._log.open("ab", buffering=0) as log:
            for request in requests:
                position = request.start_offset if position is None else position
                if position > self._received():
                    _refuse(
                        context, code_pb2.OUT_OF_RANGE, "OFFSET_MISMATCH", received_bytes=self._received()
                    )
                assert 1 <= len(request.data) <= 1 << 20
                new = request.data[self._received() - position :]
                position += len(request.data)
                room = self._quota - log.tell()
                log.write(new[:room])
                if len(new) > room:
                    self._left_out += len(new) - room
                    return pb.AppendLogResponse(received_bytes=self._received(), truncated=True)
        return pb.AppendLogResponse(received_bytes=self._received())

    def _received(self) -> int:
        return self._log.stat().st_size + self._left_out

    def _check(self, context: grpc.ServicerContext) -> None:
        if ("authorization", f"Bearer {self._token}") not in context.invocation_metadata():
            _refuse(context, code_pb2.UNAUTHENTICATED, "TOKEN_INVALID")


def _refuse(context: grpc.ServicerContext, code: int, reason: str, **metadata: int) -> NoReturn:
    status = status_pb2.Status(code=code, message=reason)
    packed = any_pb2.Any()
    texts = {name: str(value) for name, value in metadata.items()}
    packed.Pack(error_details_pb2.ErrorInfo(reason=reason, metadata=texts))
    status.details.append(packed)
    context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError


def main() -> None:
    """Serve until killed."""
    socket, log, quota, token = sys.argv[1:]
    Path(socket).unlink(missing_ok=True)
    Path(log).touch()
    server = grpc.server(ThreadPoolExecutor(8))
    add_AttemptServiceServicer_to_server(Attempts(Path(log), int(quota), token), server)
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    print("ready", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
