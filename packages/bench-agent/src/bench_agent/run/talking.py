"""All that an attempt says to the server. Imports gRPC: imported when the training has started."""

import threading

from bench_auth.channel import channel_to
from bench_auth.endpoints import parse_endpoint
from bench_core import keep_freed_memory
from bench_protos.runs.v1.attempts_pb2_grpc import AttemptServiceStub

from bench_agent.run.heartbeat import beat
from bench_agent.run.notes import Notes
from bench_agent.run.shipping import Shipping
from bench_agent.run.spool import Spool


def talk(socket: str, token: str, spool: Spool, notes: Notes, ended: threading.Event) -> None:
    """Send the output and beat, until both are done after the training's end.

    Args:
        socket: Where the server listens.
        token: The attempt's.
        spool: The output.
        notes: Where failures are said.
        ended: Set when the training has ended.
    """
    keep_freed_memory()
    stub = AttemptServiceStub(channel_to(parse_endpoint(f"unix:{socket}"), token))
    beating = threading.Thread(target=beat, args=(stub, spool, ended), daemon=True)
    beating.start()
    Shipping(stub, spool, notes, ended).run()
    beating.join()
