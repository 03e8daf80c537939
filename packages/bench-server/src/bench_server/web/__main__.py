"""The web process: `python -m bench_server.web --help`, started by the supervisor."""

import argparse
import sys
from pathlib import Path

import django
from bench_core import BenchError

from bench_server.child import Lifeline


def main() -> None:
    """Serve until told to stop."""
    parsed = _parser().parse_args()
    lifeline = Lifeline()
    django.setup()
    from bench_server.web.serving import WebServer

    try:
        server = WebServer(parsed.addresses, (parsed.chain, parsed.key) if parsed.chain else None)
    except BenchError as error:
        sys.exit(f"Error: {error}")
    lifeline.ready()
    lifeline.wait()
    server.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench_server.web")
    parser.add_argument("addresses", nargs="+", metavar="ADDRESS")
    parser.add_argument("--chain", type=Path, help="PEM, for TLS")
    parser.add_argument("--key", type=Path, help="PEM, for TLS")
    return parser


if __name__ == "__main__":
    main()
