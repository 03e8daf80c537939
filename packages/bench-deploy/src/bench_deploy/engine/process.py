"""The engine without containers: the command is a process of this user, on this machine."""

from __future__ import annotations

import builtins
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import psutil
from bench_core import atomic_write

from bench_deploy.engine import process_child
from bench_deploy.engine.protocol import Container, ContainerSpec, ContainerState
from bench_deploy.errors import EngineError

MARK = "BENCH_CONTAINER"
"""A variable of all processes of a container: it finds those that left its session and lost their parent."""

SERVERS_OWN = ("BENCH_", "DJANGO_")
"""Variables of the server that no command is to have, by how they begin."""

KILL_SECONDS = 10.0
"""For processes to be gone after SIGKILL; longer only where the kernel itself waits, as for a dead disk."""


class ProcessEngine:
    """Runs each command as a process of this user, in its working directory.

    It isolates nothing: the command can do what this user can. Limits on memory, CPUs and processes are not
    enforced; GPUs are by CUDA_VISIBLE_DEVICES, which a command may change. `image` and `user` of a spec are
    not looked at, and a mount must be where it is. The command has this process's environment, without the
    variables of the server, and what the spec adds.

    Args:
        folder: Where it notes what it started; made if it is not there. Another engine with the same
            folder, now or after this process has ended, finds the same containers.
    """

    name = "process"

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder).absolute()

    def submit(self, spec: ContainerSpec) -> None:
        """Start the command, as `Engine.submit` says.

        Raises:
            EngineError: The command cannot be started, or a mount is asked for elsewhere than it is.
        """
        moved = [mount for mount in spec.mounts if mount.source != mount.target]
        if moved:
            raise EngineError(
                f'cannot start {spec.name}: "{moved[0].source}" is to be mounted on "{moved[0].target}"',
                hint="The process engine has no mounts: every path is that of the host.",
            )
        folder = self._path(spec.name)
        with _file_errors(f"start {spec.name}"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (folder / "record.json").exists():
                record = {
                    "name": spec.name,
                    "labels": dict(spec.labels),
                    "command": list(spec.command),
                    "work": spec.work,
                    "environment": _environment(spec, folder),
                }
                atomic_write(folder / "record.json", json.dumps(record, indent=2).encode(), mode=0o600)
        _start(spec.name, folder)

    def inspect(self, name: str) -> Container | None:
        """A container now, as `Engine.inspect` says."""
        folder = self._path(name)
        alive = _is_alive(folder)
        found = _read(folder, alive)
        return found if _is_alive(folder) == alive else self.inspect(name)  # it began or ended meanwhile

    def wait(self, name: str, seconds: float) -> Container | None:
        """A container when it has ended, as `Engine.wait` says."""
        deadline = time.monotonic() + seconds
        pause = 0.001
        found = self.inspect(name)
        while (
            found and found.state is not ContainerState.EXITED and (left := deadline - time.monotonic()) > 0
        ):
            time.sleep(min(pause, left))
            pause = min(2 * pause, 0.05)
            found = self.inspect(name)
        return found

    def signal(self, name: str, number: int) -> None:
        """Send a signal to the command; SIGKILL reaches all that came of it, as in a container."""
        folder = self._path(name)
        if number == signal.SIGKILL:
            _kill_all(folder)
        elif (first := _first(folder)) is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                first.send_signal(number)

    def remove(self, name: str) -> None:
        """Kill all processes of a container and forget it, as `Engine.remove` says."""
        folder = self._path(name)
        if not folder.exists():
            return
        _kill_all(folder)
        if (first := _first(folder)) is not None:
            _kill([first])
        gone = folder.with_name(f".{name}.{token_hex(4)}")
        with _file_errors(f"remove {name}"):
            folder.rename(gone)  # so that nobody ever sees a part
            shutil.rmtree(gone)

    def list(self, label: str, value: str) -> builtins.list[Container]:
        """The containers that have a label, by name."""
        names = sorted(path.name for path in self._folder.glob("[!.]*"))
        found = [container for name in names if (container := self.inspect(name)) is not None]
        return [container for container in found if container.labels.get(label) == value]

    def _path(self, name: str) -> Path:
        if not name or "/" in name or name.startswith("."):
            raise EngineError(f'"{name}" cannot be the name of a container')
        return self._folder / name


def _start(name: str, folder: Path) -> None:
    # -I: the user's PYTHONPATH and folder have no part in it.
    started = subprocess.run(
        [sys.executable, "-I", process_child.__file__, str(folder)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if started.returncode != 0:
        raise EngineError(
            f"cannot start {name}: {started.stderr.strip()}",
            hint="Check the command, and that its folder is there.",
        )


def _environment(spec: ContainerSpec, folder: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(SERVERS_OWN)}
    gpus = {"CUDA_VISIBLE_DEVICES": ",".join(spec.limits.gpus)}  # "" hides all of them
    return {**own, **gpus, **spec.environment, MARK: str(folder)}


def _read(folder: Path, alive: bool) -> Container | None:
    try:
        record = json.loads((folder / "record.json").read_bytes())
    except FileNotFoundError:
        return None
    common = {"name": record["name"], "labels": record["labels"]}
    if not (folder / "pid").exists():
        return Container(**common, state=ContainerState.CREATED, error=_text(folder / "error"))
    if alive:
        return Container(**common, state=ContainerState.RUNNING)
    code = _text(folder / "exit_code")
    return Container(**common, state=ContainerState.EXITED, exit_code=int(code) if code else None)


@contextlib.contextmanager
def _file_errors(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EngineError(
            f"cannot {doing}: {error}", hint="Is its disk full, or the folder another user's?"
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _is_alive(folder: Path) -> bool:
    """Whether the first process of a container holds its lock."""
    try:
        with open(folder / "lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _first(folder: Path) -> psutil.Process | None:
    if not _is_alive(folder):
        return None
    try:
        return psutil.Process(int(_text(folder / "pid")))
    except (ValueError, psutil.NoSuchProcess):
        return None


def _members(folder: Path) -> builtins.list[psutil.Process]:
    """All processes of a container but its first."""
    first = _first(folder)
    heads = [] if first is None else [first]
    for process in psutil.process_iter(["environ"]):
        if (process.info["environ"] or {}).get(MARK) == str(folder):
            heads.append(process)
    found = {*heads, *(child for head in heads for child in _children(head))}
    return [process for process in found if process != first and _runs(process)]


def _children(process: psutil.Process) -> builtins.list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _kill_all(folder: Path) -> None:
    while members := _members(folder):  # what forks while it is killed is seen the next time
        _kill(members)


def _kill(processes: builtins.list[psutil.Process]) -> None:
    for step in (psutil.Process.suspend, psutil.Process.kill):  # so that none sees another's end
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                step(process)
    deadline = time.monotonic() + KILL_SECONDS
    while left := [process for process in processes if _runs(process)]:
        if time.monotonic() > deadline:
            raise EngineError(
                f"processes {', '.join(str(process.pid) for process in left)} were killed, and do not end",
                hint="The kernel holds them, as it does for a disk or a GPU that does not answer.",
            )
        time.sleep(0.002)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
