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
    from bench_server.database import keep_connections

    keep_connections(threads_are_few=True)
    leave = threading.Event()
    thread = threading.Thread(target=_serve, args=(leave,))
    lifeline.ready()
    if lifeline.wait_for_all():  # what it warns of comes after the lines that say where the server is
        thread.start()
        lifeline.wait()
        leave.set()
        thread.join()


def _serve(leave: threading.Event) -> None:
    from bench_server.runner.service import serve

    try:
        serve(leave)
    except BaseException:
        logging.exception("it failed, and is started again")
        os._exit(1)  # the supervisor sees it


if __name__ == "__main__":
    main()
