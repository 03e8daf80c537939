"""All that an attempt says to the server. Imports gRPC: imported when the training has started."""

import threading
from pathlib import Path

from bench_auth.channel import channel_to
from bench_auth.endpoints import parse_endpoint
from bench_core import keep_freed_memory
from bench_protos.runs.v1.attempts_pb2 import AppendTrackRequest
from bench_protos.runs.v1.attempts_pb2_grpc import AttemptServiceStub

from bench_agent.run.heartbeat import beat
from bench_agent.run.notes import Notes
from bench_agent.run.shipping import DRAIN_SECONDS, Shipping
from bench_agent.run.spool import Spool
from bench_agent.track.shipping import TrackShipping, Way
from bench_agent.track.system import record_system


def talk(socket: str, token: str, spool: Spool, tracks: Path, notes: Notes, ended: threading.Event) -> None:
    """Send the output and the tracks, and beat, until all are done after the training's end.

    Args:
        socket: Where the server listens.
        token: The attempt's.
        spool: The output.
        tracks: The folder of the tracks.
        notes: Where failures are said.
        ended: Set when the training has ended.
    """
    keep_freed_memory()
    stub = AttemptServiceStub(channel_to(parse_endpoint(f"unix:{socket}"), token))
    way = Way(append=stub.AppendTrack, message=AppendTrackRequest, names={})
    shipping = TrackShipping(tracks, way, notes.say, ended, drain_seconds=DRAIN_SECONDS)
    threads = [
        threading.Thread(target=beat, args=(stub, spool, ended), daemon=True),
        threading.Thread(target=record_system, args=(tracks, ended), daemon=True),
        threading.Thread(target=shipping.run, daemon=True),
    ]
    for thread in threads:
        thread.start()
    Shipping(stub, spool, notes, ended).run()
    for thread in threads:
        thread.join()
