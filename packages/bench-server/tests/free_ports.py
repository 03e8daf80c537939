"""Ports for servers that are about to start."""

import os
import random
import socket

FIRST, END = 10_000, 32_768
"""From here on Linux gives ports to connections, and to whoever asks for any."""

WORKERS = 32

_given: set[int] = set()


def free_port() -> int:
    """A port of this machine that nobody listens on. No other test gets it before a server listens there.

    It is given once in this process, and each worker of pytest has ports of its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = range(FIRST + worker % WORKERS, END, WORKERS)
    while True:
        port = random.SystemRandom().choice(ports)  # another run of the tests may be beside this one
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
