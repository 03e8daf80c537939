"""Attempts that run: the agent as a process, and a server for its log."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TOKEN = "bench_r_of-this-attempt"


class Attempt:
    """A folder as the runner makes it, and the agent in it.

    Args:
        folder: Empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work, self.spool, self.private = folder / "work", folder / "spool", folder / "private"
        self.socket, self.log = folder / "attempts.sock", folder / "log"
        for place in (self.work, self.spool, self.private):
            place.mkdir(parents=True)
        (self.private / "token").write_text(TOKEN)

    def describe(self, *command: str, **fields: Any) -> Path:
        """Write attempt.json."""
        document = {
            "version": 1,
            "run_id": "0197-run",
            "attempt": 1,
            "command": list(command),
            "work": str(self.work),
            "spool": str(self.spool),
            "private": str(self.private),
            "environment": {},
            "socket": str(self.socket),
            "grace_seconds": 60,
            "log_quota_bytes": 2_000_000_000,
            **fields,
        }
        path = self.folder / "attempt.json"
        path.write_text(json.dumps(document))
        return path

    def start(self, *command: str, **fields: Any) -> subprocess.Popen[bytes]:
        """Start the agent."""
        path = self.describe(*command, **fields)
        return subprocess.Popen([sys.executable, "-I", "-m", "bench_agent", "run", str(path)], cwd=self.work)

    def python(self, script: str, **fields: Any) -> subprocess.Popen[bytes]:
        """Start the agent with a training in Python."""
        return self.start(sys.executable, "-c", script, **fields)

    def run(self, script: str, **fields: Any) -> dict[str, Any]:
        """Have the agent run a training in Python to its end, without a server; its exit.json."""
        (self.private / "token").unlink(missing_ok=True)
        assert self.python(script, **fields).wait() == 0
        return self.exit

    @property
    def exit(self) -> dict[str, Any]:
        """exit.json."""
        document: dict[str, Any] = json.loads((self.spool / "exit.json").read_bytes())
        return document

    @property
    def output(self) -> bytes:
        """What the training wrote."""
        return (self.spool / "output").read_bytes()

    @property
    def notes(self) -> str:
        """What the agent said."""
        path = self.spool / "agent.log"
        return path.read_text() if path.exists() else ""

    @property
    def kept(self) -> bytes:
        """What the server has of the log."""
        return self.log.read_bytes() if self.log.exists() else b""

    @contextmanager
    def server(
        self, quota: int = 2_000_000_000, token: str = TOKEN
    ) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
        """Serve its calls; gives what kills the server and starts it anew."""
        script = Path(__file__).with_name("log_server.py")
        words = [sys.executable, str(script), str(self.socket), str(self.log), str(quota), token]
        running: list[subprocess.Popen[bytes]] = []

        def stop() -> None:
            for process in running:
                process.kill()
                process.communicate()
            running.clear()

        def start() -> subprocess.Popen[bytes]:
            stop()
            process = subprocess.Popen(words, stdout=subprocess.PIPE)
            running.append(process)
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            return process

        start()
        try:
            yield start
        finally:
            stop()


def until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False
