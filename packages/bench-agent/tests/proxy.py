"""A TCP proxy that does harm to what passes."""

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Harm = Callable[[bytes, int], "bytes | None"]
"""Called with bytes on their way and how many have passed before; returns what goes on, or None to cut."""


HarmOnce = Callable[[int], Harm]
"""Makes a harm that is done once, after so many bytes of a connection."""


@contextmanager
def harmful_proxy(target: int, up: Harm, down: Harm) -> Iterator[int]:
    """A proxy to a port of this machine; yields its own port."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with suppress(OSError):
                server = socket.create_connection(("127.0.0.1", target))
                for source, sink, harm in ((client, server, up), (server, client, down)):
                    threading.Thread(target=_pass_on, args=(source, sink, harm), daemon=True).start()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _pass_on(source: socket.socket, sink: socket.socket, harm: Harm) -> None:
    passed = 0
    with suppress(OSError):
        while data := source.recv(1 << 16):
            changed = harm(data, passed)
            passed += len(data)
            if changed is None:
                break
            sink.sendall(changed)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            end.close()


def nothing(data: bytes, passed: int) -> bytes:
    return data


def cut_after(count: int) -> Harm:
    """Each connection is cut when so many bytes have passed."""
    return lambda data, passed: None if passed > count else data


def flip_once(seed: int, after: int) -> Harm:
    """One byte of all is changed, somewhere after so many."""
    left = [1]

    def harm(data: bytes, passed: int) -> bytes:
        if passed < after or not left[0]:
            return data
        left[0] = 0
        at = random.Random(seed).randrange(len(data))
        return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]

    return harm


def drop_once(after: int) -> Harm:
    """The end of what is read at a time is lost, and the connection goes on."""
    left = [1]

    def harm(data: bytes, passed: int) -> bytes:
        if passed < after or not left[0]:
            return data
        left[0] = 0
        return data[: len(data) // 2]

    return harm


def stall_once(after: int) -> Harm:
    """A connection stays open, and nothing passes any more."""
    left = [1]

    def harm(data: bytes, passed: int) -> bytes:
        if passed >= after and left[0]:
            left[0] = 0
            time.sleep(300)
        return data

    return harm
