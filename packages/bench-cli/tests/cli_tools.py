"""`bench` in a process of its own, and what came of it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect
from free_ports import free_port

PASSWORD = "correct horse battery"
KEPT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT")


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    endpoint: str
    data: Path


@dataclass(frozen=True)
class Result:
    """What a command printed, and its exit code."""

    code: int
    stdout: str
    stderr: str


class Cli:
    """`bench` in an empty home. What is called is its command line; the result is compared whole."""

    def __init__(self, folder: Path, module: str = "bench_cli") -> None:
        self.module = module
        self.home, self.work = folder / "home", folder / "work"
        self.config = self.home / "bench"
        self.home.mkdir(exist_ok=True)
        self.work.mkdir(exist_ok=True)
        self.environment = {name: os.environ[name] for name in KEPT if name in os.environ} | {
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_DATA_HOME": str(self.home / ".data"),
            "BENCH_CONFIG_DIR": str(self.config),
            "VIRTUAL_ENV": sys.prefix,
            "NO_COLOR": "1",
            "TZ": "UTC",
        }

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", self.module, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.work,
            env={**self.environment, **environment},
        )
        return Result(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def in_terminal(self, *arguments: str, columns: int = 80, **environment: str) -> Iterator[Any]:
        """The command in a terminal, to talk with."""
        child = pexpect.spawn(
            sys.executable,
            ["-m", self.module, *arguments],
            dimensions=(24, columns),
            encoding="utf-8",
            timeout=60,
            cwd=str(self.work),
            env={**self.environment, "TERM": "xterm-256color", **environment},
        )
        try:
            yield child
        finally:
            child.close(force=True)

    def with_login(self, server: Server, username: str) -> "Cli":
        """Log in, as a session at a terminal would."""
        with self.in_terminal("login", "--endpoint", server.endpoint, "--username", username) as terminal:
            terminal.expect("Password: ")
            terminal.sendline(PASSWORD)
            assert finish(terminal) == (0, f"\nLogged in as {username} at {server.endpoint}.\n")
        return self


def finish(terminal: Any) -> tuple[int, str]:
    """Wait for the end of a command in a terminal: its exit code, and what it printed since the last look."""
    terminal.expect(pexpect.EOF)
    text: str = terminal.before.replace("\r\n", "\n")
    terminal.close()
    return terminal.exitstatus, text


def error(message: str, hint: str | None = None) -> str:
    """What an error prints on stderr."""
    return f"Error: {message}\n" + (f"Hint: {hint}\n" if hint else "")


@contextmanager
def running_server(folder: Path, *options: str, **variables: str) -> Iterator[Server]:
    """A server in a folder, with more options and variables."""
    data, port = folder / "data", free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
    environment |= variables
    command = [sys.executable, "-m", "bench_server"]
    make_owner = [*command, "createuser", "ada", "--owner", "--password-stdin", "--data", str(data)]
    subprocess.run(make_owner, input=PASSWORD, text=True, check=True, capture_output=True, env=environment)
    ports = ["--port", str(port), "--web-port", str(free_port())]
    start = [*command, "start", *options, "--data", str(data), *ports]
    with subprocess.Popen(start, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("Data:"):
            assert process.poll() is None
        yield Server(f"http://localhost:{port}", data)
        process.terminate()
