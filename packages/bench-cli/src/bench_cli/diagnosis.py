"""What `bench doctor` looks at: one check for each part, one line for each check."""

import datetime
import json
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench_core import BenchError, data_root

from bench_cli import sources
from bench_cli.errors import CliError
from bench_cli.texts import size_text
from bench_cli.version import VERSION

OK, WARN, FAIL = "ok", "warn", "fail"

PROGRAM_SECONDS = 60.0
"""A program that says nothing for so long hangs; a first import of torch takes many seconds."""

SKEW_SECONDS = 60.0
"""Clocks further apart than this make times of runs and tokens hard to follow."""

FEW_BYTES, TOO_FEW_BYTES = 10_000_000_000, 1_000_000_000
"""A disk with less gets a warning, and a failure: an image with torch takes some 10 GB."""

ASK_PYTHON = """
import json, platform, sys
found = {"version": platform.python_version(), "torch": None, "cuda": False, "problem": None}
try:
    import torch
    found.update(torch=torch.__version__, cuda=torch.cuda.is_available())
except ModuleNotFoundError:
    pass
except Exception as error:
    found["problem"] = f"{type(error).__name__}: {error}"
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Check:
    """What was found of one part.

    Args:
        name: The part.
        state: OK, WARN or FAIL.
        text: What was found.
        advice: What to do about it.
    """

    name: str
    state: str
    text: str
    advice: str | None = None


def diagnose(endpoint: str | None) -> Iterator[Check]:
    """Look at every part, one after the other.

    Args:
        endpoint: The server, if not the usual one.
    """
    yield from _python()
    yield _docker()
    yield _gpu()
    yield _disk()
    yield from _server(endpoint)


def _python() -> Iterator[Check]:
    """The project's interpreter, and the torch that it has."""
    try:
        path = sources.interpreter()
        found = json.loads(_output_of([path, "-c", ASK_PYTHON]).splitlines()[-1])
    except (CliError, ValueError, IndexError) as error:
        reason = error.message if isinstance(error, CliError) else "it does not say what it is"
        yield Check("python", FAIL, reason, "Activate the project's environment.")
        return
    yield _python_version(path, found["version"])
    if found["problem"]:
        yield Check("torch", FAIL, f"it does not import: {found['problem']}", f"Install it again for {path}.")
    elif found["torch"] is None:
        yield Check("torch", WARN, f"{path} has none", "Training needs it: pip install torch")
    else:
        yield Check(
            "torch", OK, f"{found['torch']}, {'with' if found['cuda'] else 'without'} a GPU that it can use"
        )


def _python_version(path: str, version: str) -> Check:
    if tuple(map(int, version.split(".")[:2])) < (3, 10):
        return Check(
            "python", FAIL, f"{version} ({path})", "Make the project's environment with 3.10 or later."
        )
    return Check("python", OK, f"{version} ({path})")


def _docker() -> Check:
    if shutil.which("docker") is None:
        return Check("docker", WARN, "not installed", "Runs in containers need it: https://docs.docker.com")
    try:
        version = _output_of(["docker", "version", "--format", "{{.Server.Version}}"])
    except CliError as error:
        return Check(
            "docker", WARN, error.message, "Start it, or join its group: sudo usermod -aG docker $USER"
        )
    return Check("docker", OK, version)


def _gpu() -> Check:
    if platform.system() != "Linux" or shutil.which("nvidia-smi") is None:
        return Check("gpu", WARN, "no NVIDIA driver", "Without one, training uses the CPU.")
    try:
        found = _output_of(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"])
    except CliError as error:
        return Check(
            "gpu", FAIL, error.message, "The driver is installed and does not work: reboot, or reinstall it."
        )
    return Check("gpu", OK, "; ".join(found.splitlines()))


def _disk() -> Check:
    folder = data_root()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    state = FAIL if free < TOO_FEW_BYTES else WARN if free < FEW_BYTES else OK
    return Check(
        "disk", state, f"{size_text(free)} free at {existing}", None if state == OK else "Make room there."
    )


def _server(endpoint: str | None) -> Iterator[Check]:
    """The server, its clock, its version, and the login."""
    import bench_auth

    try:
        url = sources.endpoint(endpoint).value
        before = time.time()
        info = bench_auth.server_info(url)
        now = (before + time.time()) / 2
    except BenchError as error:
        yield Check("server", FAIL, error.message, error.hint)
        return
    yield Check("server", OK, f"{url} answers")
    yield _clock(info.server_time, now)
    yield _versions(info.version)
    yield _login(url)


def _clock(server_time: datetime.datetime, now: float) -> Check:
    skew = server_time.timestamp() - now
    if abs(skew) < SKEW_SECONDS:
        return Check("clock", OK, "as the server's")
    direction = "ahead of" if skew < 0 else "behind"
    text = f"this machine is {abs(skew):.0f} s {direction} the server"
    return Check("clock", WARN, text, "Switch on time synchronisation (NTP) on both.")


def _versions(server: str) -> Check:
    if server == VERSION:
        return Check("versions", OK, f"{VERSION}, here and at the server")
    return Check("versions", WARN, f"{VERSION} here, {server} at the server", "Update the older one.")


def _login(url: str | None) -> Check:
    import bench_auth

    try:
        return Check("login", OK, f"as {bench_auth.current_user(url).username}")
    except BenchError as error:
        return Check("login", WARN, error.message, error.hint)


def _output_of(words: list[str]) -> str:
    """What a program prints.

    Raises:
        CliError: It cannot be run, or fails.
    """
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=PROGRAM_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CliError(f"{words[0]} cannot be run: {error}") from None
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise CliError(lines[-1] if lines else f"{words[0]} fails with {done.returncode}")
    return done.stdout.strip()
