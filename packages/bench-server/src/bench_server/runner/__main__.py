"""The runner process: `python -m bench_server.runner`, started by the supervisor."""

import logging
import os
import threading

import django
from bench_core import keep_freed_memory

from bench_server.child import Lifeline


def main() -> None:
    """Run what is submitted until told to stop; what runs then goes on."""
    os.umask(0o077)
    lifeline = Lifeline()
    keep_freed_memory()
    logging.basicConfig(format="runner: %(message)s", level=logging.WARNING)
    django.setup()
    from bench_server.runner.service import serve

    leave = threading.Event()
    thread = threading.Thread(target=serve, args=(leave,))
    thread.start()
    lifeline.ready()
    lifeline.wait()
    leave.set()
    thread.join()


if __name__ == "__main__":
    main()
