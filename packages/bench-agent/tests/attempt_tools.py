"""Attempts that run: the agent as a process, and a server for its log."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Attempt:
    """A folder as the runner makes it, and the agent in it.

    Args:
        folder: Empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work, self.spool, self.private = folder / "work", folder / "spool", folder / "private"
        self.socket, self.log = folder / "nobody.sock", folder / "log"
        for place in (self.work, self.spool, self.private):
            place.mkdir(parents=True)
        (self.private / "token").write_text("bench_r_of-nobody")

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


class LogServer:
    """A server for attempts, which can be killed and started again.

    Args:
        folder: Its own.
        quota: Of a log.
    """

    def __init__(self, folder: Path, quota: int) -> None:
        script = Path(__file__).with_name("log_server.py")
        self._words = [sys.executable, str(script), str(folder), str(quota)]
        tools = Path(__file__).parents[2] / "bench-server" / "tests"
        self._environment = {**os.environ, "PYTHONPATH": str(tools)}
        self.start()

    def start(self) -> None:
        """Start it, or start it anew."""
        self.process = subprocess.Popen(
            self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self._environment
        )
        self.socket = self._read()["socket"]

    def kill(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.communicate()

    def ask(self, line: str) -> Any:
        """Have it do something."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        return self._read()

    def give(self, attempt: Attempt) -> str:
        """Have an attempt be one of this server's; its id."""
        found: dict[str, str] = self.ask("new")
        (attempt.private / "token").write_text(found["token"])
        attempt.socket, attempt.log = Path(self.socket), Path(found["log"])
        return found["attempt"]

    def _read(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


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
