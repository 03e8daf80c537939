"""What is known of a running server from outside: `running.json` in its folder.

The server writes it when it is ready and removes it at its end. One that was killed leaves it behind; then
the process of that number is gone, or another one, which began at another time.
"""

import contextlib
import datetime
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import psutil
from bench_core import atomic_write

from bench_server.data_folder import DataFolder
from bench_server.version import VERSION

READY_VARIABLE = "BENCH_READY_FD"
"""Set for a server in the background: the pipe in which it says that it is ready."""

CLOCK_SECONDS = 2.0
"""The system reckons a process's start from that of its own, which is known to the second."""


@dataclass(frozen=True, kw_only=True)
class RunningServer:
    """A server that runs.

    Args:
        pid: Its process.
        process_start: When that process began, in seconds since 1970.
        start_time: When the server was ready; ISO 8601.
        version: Its release.
        addresses: Where it listens for calls.
        endpoint: What people call that.
        fingerprint: Of its certificate; None where it has none.
        web_url: Where its pages are.
        arguments: What it was started with.
        in_background: Whether it writes to its folder's log.
    """

    pid: int
    process_start: float
    start_time: str
    version: str
    addresses: list[str]
    endpoint: str
    fingerprint: str | None
    web_url: str
    arguments: list[str]
    in_background: bool

    def process(self) -> psutil.Process | None:
        """Its process, or None if that has ended."""
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.process_start) < CLOCK_SECONDS
            return found if same and found.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


@contextlib.contextmanager
def announced(
    folder: DataFolder, *, addresses: Sequence[str], endpoint: str, fingerprint: str | None, web_url: str
) -> Iterator[Callable[[], None]]:
    """Tell who looks from outside about this process, until the block ends.

    Args:
        folder: The server's folder, whose lock the caller holds.
        addresses: Where the server listens for calls.
        endpoint: What people call that.
        fingerprint: Of its certificate; None where it has none.
        web_url: Where its pages are.

    Yields:
        To be called when the server is ready.
    """
    ready_pipe = os.environ.pop(READY_VARIABLE, None)

    def tell_ready() -> None:
        server = RunningServer(
            pid=os.getpid(),
            process_start=psutil.Process().create_time(),
            start_time=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            version=VERSION,
            addresses=list(addresses),
            endpoint=endpoint,
            fingerprint=fingerprint,
            web_url=web_url,
            arguments=sys.argv[1:],
            in_background=ready_pipe is not None,
        )
        atomic_write(folder.running, (json.dumps(asdict(server), indent=2) + "\n").encode(), mode=0o600)
        if ready_pipe is not None:
            os.write(int(ready_pipe), b"+")
            os.close(int(ready_pipe))

    folder.running.unlink(missing_ok=True)
    try:
        yield tell_ready
    finally:
        folder.running.unlink(missing_ok=True)


def running_server(folder: DataFolder) -> RunningServer | None:
    """The server that runs with a folder, or None."""
    try:
        server = RunningServer(**json.loads(folder.running.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return server if server.process() else None
