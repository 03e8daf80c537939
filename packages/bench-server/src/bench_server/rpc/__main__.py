"""The rpc process: `python -m bench_server.rpc ADDRESS ...`, started by the supervisor."""

import sys

import django
from bench_core import BenchError

from bench_server.child import DRAIN_SECONDS, Lifeline


def main(addresses: list[str]) -> None:
    """Serve until told to stop."""
    lifeline = Lifeline()
    django.setup()
    from bench_server.rpc.serving import RpcServer

    try:
        server = RpcServer(addresses)
    except BenchError as error:
        sys.exit(f"Error: {error}")
    lifeline.ready()
    lifeline.wait()
    server.stop(DRAIN_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1:])
