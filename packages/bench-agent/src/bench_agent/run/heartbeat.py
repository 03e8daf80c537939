"""The server knows that the agent is there, and how much the training has written."""

import threading

from bench_auth import AuthError, call
from bench_protos.runs.v1.attempts_pb2 import HeartbeatRequest
from bench_protos.runs.v1.attempts_pb2_grpc import AttemptServiceStub

from bench_agent.run.spool import Spool

SECONDS = 5.0

DEADLINE_SECONDS = 5.0


def beat(stub: AttemptServiceStub, spool: Spool, ended: threading.Event) -> None:
    """Beat until the training has ended, and once more then. A beat that fails is not missed.

    Args:
        stub: The server.
        spool: The training's output.
        ended: Set when the training has.
    """
    while not ended.is_set():
        _beat(stub, spool, training=True)
        ended.wait(SECONDS)
    _beat(stub, spool, training=False)


def _beat(stub: AttemptServiceStub, spool: Spool, *, training: bool) -> None:
    request = HeartbeatRequest(training=training, spool_bytes=spool.written_bytes)
    try:
        call(stub.Heartbeat, request, seconds=DEADLINE_SECONDS)
    except AuthError:
        return  # the shipping says what is wrong
