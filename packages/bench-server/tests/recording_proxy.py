"""A TCP proxy that keeps what passes."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def recording_proxy(target: int) -> Iterator[tuple[int, bytearray]]:
    """A proxy to a port of this machine; yields its own port and all bytes of both directions."""
    recorded = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, target, recorded))
        thread.start()
        try:
            yield listener.getsockname()[1], recorded
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listener: socket.socket, target: int, recorded: bytearray) -> None:
    passing = []
    ends = []
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", target))
            ends += [client, server]
            for source, sink in ((client, server), (server, client)):
                passing.append(threading.Thread(target=_pass_on, args=(source, sink, recorded)))
                passing[-1].start()
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    for thread in passing:
        thread.join()
    for end in ends:
        end.close()


def _pass_on(source: socket.socket, sink: socket.socket, recorded: bytearray) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            recorded += data
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
