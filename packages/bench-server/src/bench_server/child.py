"""A child process's side of its supervisor: it says when it is ready, and ends when told to or left alone.

The supervisor gives each child the descriptor of a socket. The child sends one byte when it is ready, and
gets one when all are; when the socket closes, or SIGTERM comes, the child drains.
"""

import contextlib
import os
import signal
import socket
import threading

SOCKET_VARIABLE = "BENCH_SUPERVISOR_FD"
"""Set by the supervisor for its children: the descriptor's number."""

DRAIN_SECONDS = 20.0
"""What runs when a stop is asked for has so long to finish."""


class Lifeline:
    """The child's end of the socket. Make it in the main thread."""

    def __init__(self) -> None:
        self._stop, self._all_ready = threading.Event(), threading.Event()
        self._socket = socket.socket(fileno=int(os.environ[SOCKET_VARIABLE]))
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the supervisor, which sends SIGTERM
        threading.Thread(target=self._watch, daemon=True).start()

    def ready(self) -> None:
        """Tell the supervisor that this process does its work now."""
        self._socket.send(b"+")

    def wait_for_all(self) -> bool:
        """Return when the server has said that it is ready: True; or when this process is to end: False."""
        self._all_ready.wait()
        return not self._stop.is_set()

    def wait(self) -> None:
        """Return when this process is to end."""
        self._stop.wait()

    def _watch(self) -> None:
        with contextlib.suppress(OSError):  # if it is gone without having read that this process was ready
            while self._socket.recv(1):  # nothing comes when the supervisor is gone
                self._all_ready.set()
        self._end()

    def _end(self) -> None:
        self._stop.set()
        self._all_ready.set()
