"""The first process of a "container" of the process engine, as docker-init is of a real one; run as a script.

It goes into the background, in a session of its own, starts the command of `record.json`, hands signals on,
and writes down how the command ended, once all that came of it is gone. As long as it lives it holds the lock
of its folder: that tells whether it lives, and a process that gets its number later is not taken for it.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

FORWARDED = {
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
}
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main(folder: Path) -> None:
    """Start the command of a folder; return when it runs, and exit with a text on stderr if it cannot."""
    receiver, sender = os.pipe()
    if os.fork():
        os.close(sender)
        with open(receiver) as told:
            sys.exit(told.read() or 0)
    os.close(receiver)
    os.setsid()
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    while not (folder / "pid").exists():  # else it runs, or ran
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # by one that looks whether it is held, or by another start
            time.sleep(0.001)
            continue
        if not (folder / "pid").exists():
            _run(folder, sender)
        return


def _run(folder: Path, sender: int) -> None:
    signal.signal(signal.SIGCHLD, lambda *_: None)  # ignored, it would not be waited for below
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED | {signal.SIGCHLD})
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    _write(folder / "pid", str(os.getpid()))
    try:
        child = _start(folder)
    except (OSError, subprocess.SubprocessError) as error:
        _write(folder / "error", str(error))
        (folder / "pid").unlink()
        os.write(sender, str(error).encode())
        return
    os.close(sender)
    _let_go_of_the_terminal()
    status = _wait(child)
    _kill_the_rest()
    code = os.waitstatus_to_exitcode(status)
    _write(folder / "exit_code", str(code if code >= 0 else 128 - code))


def _start(folder: Path) -> int:
    record = json.loads((folder / "record.json").read_bytes())
    with open(folder / "log", "ab") as log:
        child = subprocess.Popen(
            record["command"],
            cwd=record["work"],
            env=record["environment"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=_before_the_command,
        )
    child.returncode = 0  # it is waited for by its number, together with orphans
    return child.pid


def _before_the_command() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.setpgid(0, 0)
    if sys.platform == "linux":  # a command is not to outlive the one that knows how it ended
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _let_go_of_the_terminal() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)


def _wait(child: int) -> int:
    while True:
        number = signal.sigwait(FORWARDED | {signal.SIGCHLD})
        if number != signal.SIGCHLD:
            os.kill(child, number)
            continue
        while (ended := _reap()) is not None:
            if ended[0] == child:
                return ended[1]


def _reap() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def _kill_the_rest() -> None:
    while rest := psutil.Process().children(recursive=True):
        for process in rest:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(rest, timeout=1)


def _write(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
