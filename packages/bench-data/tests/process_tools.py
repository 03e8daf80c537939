"""Real processes that tests start, watch and kill."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil

PATIENCE = 300.0
"""Seconds until something that must happen counts as not happening."""


def start(
    code: str, *args: object, script: Path | None = None, stdin: int | None = None
) -> subprocess.Popen[str]:
    """Run Python code as a script of its own process group; `script` is where it is put, else it is `-c`."""
    command = [sys.executable, "-W", "error", *(["-c", code] if script is None else [str(script)])]
    if script is not None:
        script.write_text(code)
    here = str(Path(__file__).parent)
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [*command, *map(str, args)],
        stdin=stdin or subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell starts what it runs in the background without Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )


def run(code: str, *args: object, script: Path | None = None) -> str:
    """The standard output of such a script, which must succeed and say nothing on standard error."""
    with ended(start(code, *args, script=script)) as process:
        out, err = process.communicate(timeout=PATIENCE)
    if process.returncode or err:
        raise AssertionError(f"it ended with {process.returncode}:\n{out}{err}")
    return out


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """The process, whose whole group is gone afterwards."""
    try:
        yield process
    finally:
        kill_group(process)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def kill_group(process: subprocess.Popen[str], how: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to every process of the group that it started in, and of its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, how)


def session(pid: int) -> list[psutil.Process]:
    """The living processes of the session that this process leads."""
    found = []
    for other in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(other.pid) == pid and other.status() != psutil.STATUS_ZOMBIE:
                found.append(other)
    return found


def read_line(stream: IO[str] | None) -> str:
    """The next line; waits for it."""
    assert stream is not None
    return stream.readline().rstrip("\n")


def wait_until(happened: Callable[[], bool], what: str) -> None:
    """Poll until something can be seen."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.001)
