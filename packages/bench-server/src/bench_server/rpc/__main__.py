"""The rpc process: `python -m bench_server.rpc --help`, started by the supervisor."""

import argparse
import sys
from pathlib import Path

import django
from bench_core import BenchError, keep_freed_memory
from django.conf import settings

from bench_server.child import DRAIN_SECONDS, Lifeline


def main() -> None:
    """Serve until told to stop."""
    parsed = _parser().parse_args()
    lifeline = Lifeline()
    keep_freed_memory()
    django.setup()
    from bench_server.database import keep_connections
    from bench_server.rpc.credentials import server_credentials
    from bench_server.rpc.serving import AttemptsServer, RpcServer

    keep_connections()
    try:
        credentials = server_credentials(parsed.chain, parsed.key) if parsed.secure else None
        server = RpcServer(parsed.clear, parsed.secure, credentials)
        attempts = AttemptsServer(settings.FOLDER)
    except BenchError as error:
        sys.exit(f"Error: {error}")
    lifeline.ready()
    lifeline.wait()
    attempts.stop()
    server.stop(DRAIN_SECONDS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench_server.rpc")
    parser.add_argument("--clear", action="append", default=[], metavar="ADDRESS", help="without TLS")
    parser.add_argument("--secure", action="append", default=[], metavar="ADDRESS", help="with TLS")
    parser.add_argument("--chain", type=Path, help="PEM, for TLS")
    parser.add_argument("--key", type=Path, help="PEM, for TLS")
    return parser


if __name__ == "__main__":
    main()
