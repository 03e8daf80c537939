"""The server knows that the agent is there, and how much the training has written."""

import threading

from bench_auth import AuthError, NotLoggedInError, call
from bench_protos.runs.v1.attempts_pb2 import HeartbeatRequest
from bench_protos.runs.v1.attempts_pb2_grpc import AttemptServiceStub

from bench_agent.run.spool import Spool

SECONDS = 5.0

DEADLINE_SECONDS = 5.0


def beat(stub: AttemptServiceStub, spool: Spool, ended: threading.Event) -> None:
    """Beat until the training has ended, and once more then; a token that has ended ends it at once.

    Args:
        stub: The server.
        spool: The training's output.
        ended: Set when the training has.
    """
    while _beat(stub, spool, is_last=ended.is_set()):
        ended.wait(SECONDS)


def _beat(stub: AttemptServiceStub, spool: Spool, *, is_last: bool) -> bool:
    """Whether another one follows. Why a server is not reached, the shipping says."""
    request = HeartbeatRequest(training=not is_last, spool_bytes=spool.written_bytes)
    try:
        call(stub.Heartbeat, request, seconds=DEADLINE_SECONDS)
    except NotLoggedInError:
        return False
    except AuthError:
        pass
    return not is_last
