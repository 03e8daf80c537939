"""The user's path from our wheels in an empty environment: whatever a wheel lacks shows here.

The commands are those of the original README.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from free_ports import free_port
from test_install import clone, pip, python

__all__ = ["clone", "python"]  # fixtures

PASSWORD = "draws circles and squares"
TORCH = "torch==2.13.0"
"""What the user brings; one release, so that every run installs the same."""


class User:
    """Types commands in an environment of their own."""

    def __init__(self, python: Path, home: Path) -> None:
        self.folder = home
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("PYTHON", "BENCH_", "XDG_"))}
        path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**kept, "HOME": str(home), "PATH": path, "NO_COLOR": "1", "COLUMNS": "100"}

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def answer(self, command: str, *answers: tuple[str, str]) -> str:
        child = pexpect.spawn(
            command, cwd=str(self.folder), env=self.environment, encoding="utf-8", timeout=120
        )
        said = ""
        for question, typed in answers:
            child.expect_exact(question)
            said += f"{child.before}{question}"
            child.sendline(typed)
        child.expect(pexpect.EOF)
        child.close()
        said += child.before or ""
        assert child.exitstatus == 0, said
        return said


@pytest.fixture
def user(
    clone: Path, python: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[User]:
    packages = [*sorted((clone / "packages").iterdir()), clone / "protos"]
    pip(python, "wheel", "--no-deps", "--wheel-dir=wheels", *packages, cwd=tmp_path)
    wheels = sorted((tmp_path / "wheels").glob("*.whl"))
    assert len(wheels) == len(packages)
    pip(python, "install", "--find-links=wheels", *wheels, TORCH, "pillow", cwd=tmp_path)
    home = tmp_path_factory.mktemp("u")  # a short path: sockets lie below it
    made = User(python, home)
    made.environment["BENCH_ENGINE"] = "process"
    yield made
    subprocess.run(["bench", "server", "stop"], env=made.environment, check=True, capture_output=True)


def test_from_wheels_to_a_trained_model(user: User) -> None:
    assert user("bench-kit", "--version") == "bench-kit 0.1.0\n"
    port = free_port()
    user("bench", "server", "start", "--port", str(port), "--web-port", str(free_port()))
    user("bench", "config", "set", "endpoint", f"http://localhost:{port}")

    # "To log in simply provide your username and password upon starting a project."
    questions = [("Username: ", "ada"), ("Password: ", PASSWORD), ("The same again: ", PASSWORD)]
    said = user.answer("bench-kit --startproject catdog", *questions)
    assert PASSWORD not in said
    assert "catdog: 11 files written" in said
    user.folder /= "catdog"

    first = user("python", "manage.py", "--makemigrations")
    assert "train: version 1," in first
    assert "train from the server: loading test passed" in first
    assert first.endswith("Version 1: 11 files of code, train version 1.\n")
    assert user("python", "manage.py", "--makemigrations").endswith(
        "Nothing changed: version 1 is the latest.\n"
    )

    followed = user("bench", "run", "--follow", "--yes")
    assert re.search(r"^epoch 2: loss \d+\.\d+, accuracy \d\.\d+$", followed, re.MULTILINE)
    assert followed.endswith("run-1 succeeded.\n")

    # Elsewhere: no chunks here, and an empty cache.
    user.environment["BENCH_DATA_ROOT"] = str(user.folder.parent / "nothing")
    trained = user("python", "TrainScript.py", "--epochs", "1")
    assert re.search(r"^epoch 0: loss \d+\.\d+, accuracy \d\.\d+$", trained, re.MULTILINE)

    assert "Logged out" in user("bench-kit", "--logout")
