"""The whole path in a temporary folder, each command as a user types it: `./run demo`.

A server, a login, a project, its migration, a run in Docker where that answers (with BENCH_ENGINE=process
never), and a training here that streams from the server. All of it is removed at the end; with --keep it
stays, and so does the server.
"""

import argparse
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pexpect

ENGINE_VARIABLE = "BENCH_ENGINE"
BASE_IMAGE_VARIABLE = "BENCH_BASE_IMAGE"
BASE_IMAGE = "python:3.11-slim-bookworm"
"""What `bench run` takes where nothing else is named."""

PASSWORD = "draws circles and squares"
SECONDS = 600
"""For the slowest command: the first import of torch on a cold disk."""


class Shell:
    """Runs commands as somebody at a terminal would, and shows them.

    Args:
        place: The folder of all that the demo makes.
    """

    def __init__(self, place: Path) -> None:
        self.folder = place
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("BENCH_")}
        self.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def note(self, text: str) -> None:
        print(f"\n# {text}", flush=True)

    def export(self, name: str, value: Path | str) -> None:
        print(f"$ export {name}={shlex.quote(str(value))}", flush=True)
        self.environment[name] = str(value)

    def enter(self, folder: str) -> None:
        print(f"$ cd {shlex.quote(folder)}", flush=True)
        self.folder = self.folder / folder

    def __call__(self, *words: str) -> None:
        print(f"$ {shlex.join(words)}", flush=True)
        subprocess.run(words, cwd=self.folder, env=self.environment, check=True)

    def answer(self, command: str, answers: dict[str, str]) -> None:
        """Run a command that asks, and type the answers."""
        print(f"$ {command}", flush=True)
        child = pexpect.spawn(
            command, cwd=str(self.folder), env=self.environment, encoding="utf-8", timeout=SECONDS
        )
        child.logfile_read = sys.stdout
        for question, typed in answers.items():
            child.expect_exact(question)
            child.sendline(typed)
        child.expect(pexpect.EOF)
        child.close()
        if child.exitstatus:
            raise subprocess.CalledProcessError(child.exitstatus, command)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave the folder and the server as they are")
    keep = parser.parse_args().keep
    began = time.monotonic()
    place = Path(tempfile.mkdtemp(prefix="bench-demo-"))
    shell = Shell(place)
    try:
        walk(shell, place)
        print(f"\nDone in {time.monotonic() - began:.0f} s.")
    finally:
        if keep:
            print(f"Everything is in {place}. Stop the server: bench server stop --data {place / 'server'}")
        else:
            words = ["bench", "server", "stop", "--data", str(place / "server")]
            subprocess.run(words, env=shell.environment, check=False)
            shutil.rmtree(place)


def walk(shell: Shell, place: Path) -> None:
    shell.note("Only for this demo: a home, ports and a cache of its own.")
    port = free_port()
    shell.export("BENCH_CONFIG_DIR", place / "config")
    shell.export("BENCH_CACHE_DIR", place / "cache")
    shell.export("BENCH_ENDPOINT", f"http://localhost:{port}")

    engine, why = find_engine(shell)
    shell.export(ENGINE_VARIABLE, engine)

    shell.note("The backend: SQLite and the local disk.")
    ports = ["--port", str(port), "--web-port", str(free_port())]
    shell("bench", "server", "start", "--data", str(place / "server"), *ports)
    questions = {"Username: ": "ada", "Password: ": PASSWORD, "The same again: ": PASSWORD}
    shell.answer("bench login", questions)

    shell.note("A project that works as it is.")
    shell("bench", "startproject", "shapes")
    shell.enter("shapes")
    shell("python", "manage.py", "--makemigrations")
    shell.note("Again: nothing has changed.")
    shell("python", "manage.py", "--makemigrations")

    shell.note(f"A run: {why}.")
    shell("bench", "run", "--follow", "--yes")
    shell("bench", "runs", "list")
    shell("bench", "runs", "artifacts")

    shell.note("Training by hand, with no chunk here: they come from the server through the cache.")
    shell.export("BENCH_DATA_ROOT", place / "no-chunks-here")
    shell("python", "TrainScript.py", "--epochs", "1")
    shell.note("Started again, it goes on where it stopped.")
    shell("python", "TrainScript.py", "--epochs", "2")

    shell.note("What is where.")
    shell("bench", "project", "show")
    shell("bench", "version", "list")
    shell("bench", "data", "list")
    shell("du", "-sh", str(place / "server"), str(place / "cache"), ".bench/datasets", "data")


def find_engine(shell: Shell) -> tuple[str, str]:
    """What the run is run on, and why."""
    if os.environ.get(ENGINE_VARIABLE) == "process":
        return "process", "as BENCH_ENGINE says, it is a process of the server's user"
    if not succeeds("docker", "version"):
        return "process", "no Docker daemon answers here, so it is a process of the server's user"
    if base := os.environ.get(BASE_IMAGE_VARIABLE):
        shell.export(BASE_IMAGE_VARIABLE, base)
        return "docker", f"in Docker, on {base}"
    if not succeeds("docker", "pull", "--quiet", BASE_IMAGE):
        return "process", f"{BASE_IMAGE} cannot be pulled here, so it is a process of the server's user"
    return "docker", f"in Docker, on {BASE_IMAGE}"


def succeeds(*words: str) -> bool:
    try:
        return subprocess.run(words, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
