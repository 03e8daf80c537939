"""The web process: `python -m bench_server.web ADDRESS`, started by the supervisor."""

import sys

import django
from bench_core import BenchError

from bench_server.child import Lifeline


def main(address: str) -> None:
    """Serve until told to stop."""
    lifeline = Lifeline()
    django.setup()
    from bench_server.web.serving import WebServer

    try:
        server = WebServer(address)
    except BenchError as error:
        sys.exit(f"Error: {error}")
    lifeline.ready()
    lifeline.wait()
    server.stop()


if __name__ == "__main__":
    main(sys.argv[1])
