"""What the tests of killed processes share: a script that counts, a follower, a held index, Docker events."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
from agent_tools import Server
from image_tools import make_wheel
from runner_tools import PATIENCE_SECONDS, Runs

COUNTING = """
import os, pathlib, signal, sys, time
output = pathlib.Path(os.environ["BENCH_OUTPUT"])
with open(output / "starts", "a") as starts:
    starts.write(os.environ["BENCH_ATTEMPT"] + "\\n")
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
code, number = os.environ.get("ON_SIGTERM"), 0
while not (output / "end").exists():
    print(number, flush=True)
    number += 1
    time.sleep(0.01)
    if told and code is not None:
        sys.exit(int(code))
print("end", flush=True)
"""
"""Says numbers until its folder has a file `end`; on SIGTERM it ends only if ON_SIGTERM says with what."""

FOLLOWING = """
import sys
import bench_auth, grpc
from bench_protos.runs.v1 import runs_pb2 as pb
from bench_protos.runs.v1.runs_pb2_grpc import RunServiceStub
endpoint, project, run, attempt, path = sys.argv[1:]
with open(path, "ab", buffering=0) as file:
    request = pb.ReadLogRequest(
        project_id=project, run_id=run, attempt_number=int(attempt), source=pb.LOG_SOURCE_OUTPUT,
        start_offset=file.tell(), follow=True,
    )
    try:
        for message in RunServiceStub(bench_auth.open_channel(endpoint)).ReadLog(request):
            file.write(message.data)
    except grpc.RpcError as error:
        sys.exit(str(error) if error.code() is not grpc.StatusCode.UNAVAILABLE else 69)
"""


class Follower:
    """A client process that follows a run's log into a file, and goes on behind what it has."""

    def __init__(self, runs: Runs, run: str, path: Path) -> None:
        endpoint = runs.server.endpoint
        self._path = path
        self._command = [
            *[sys.executable, "-c", FOLLOWING],
            *[endpoint, runs.project_id, run, "1", str(path)],
        ]
        self.resume()

    def resume(self) -> None:
        self._process = subprocess.Popen(self._command)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def all(self) -> bytes:
        """What it has when the log has ended."""
        while (code := self._process.wait(PATIENCE_SECONDS)) != 0:
            assert code == 69  # the server was killed under it
            self.resume()
        return self._path.read_bytes()


class HeldIndex:
    """An index of packages that answers no question for a wheel until it is told to."""

    def __init__(self, folder: Path, host: str) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()
        self._folder, self._host = folder, host
        self._server = ThreadingHTTPServer((host, 0), partial(_Held, index=self, directory=str(folder)))
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def requirements(self, name: str) -> str:
        """A requirements file that needs a wheel of this index, which is made."""
        place = self._folder / "simple" / name
        make_wheel(place, name, "1.0")
        self.asked.clear()
        self.go_on.clear()
        return f"--extra-index-url http://{self._host}:{self._server.server_address[1]}/simple\n{name}\n"

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Held(SimpleHTTPRequestHandler):
    def __init__(self, *args: object, index: HeldIndex, directory: str) -> None:
        self._index = index
        super().__init__(*args, directory=directory)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self._index.asked.set()
        self._index.go_on.wait()
        with contextlib.suppress(OSError):  # who asked was killed
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def held_index(folder: Path) -> Iterator[HeldIndex]:
    [host] = [found.address for found in psutil.net_if_addrs()["docker0"] if found.family.name == "AF_INET"]
    index = HeldIndex(folder, host)
    try:
        yield index
    finally:
        index.close()


@contextlib.contextmanager
def own_images(data: Path) -> Iterator[None]:
    """Remove the images that are made meanwhile for the server of a folder, and by nobody else."""
    before = _images()
    try:
        yield
    finally:
        used = {f"bench-image:{path.name}" for path in (data / "images" / "used").glob("*")}
        made = used & (_images() - before)
        while made:  # children first
            for tag in made:
                subprocess.run(["docker", "rmi", "--no-prune", tag], capture_output=True)
            left = made & _images()
            assert left != made
            made = left


def _images() -> set[str]:
    return set(docker_says("images", "--format={{.Repository}}:{{.Tag}}", "bench-image").split())


def docker_says(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def starts_seen(run: str, since: float) -> list[str]:
    """The attempts of a run whose containers Docker started, by its own events."""
    filters = [f"--filter=label=bench.run={run}", "--filter=event=start"]
    period = [f"--since={since:.3f}", f"--until={time.time():.3f}"]
    said = docker_says("events", *period, *filters, "--format={{json .Actor.Attributes}}")
    return [json.loads(line)["bench.attempt"] for line in said.splitlines()]


def end(runs: Runs, run: str) -> None:
    """Have a counting script return."""
    (runs.folder(run) / "output" / "end").touch()


def counted(log: bytes) -> bool:
    """Whether a log has each number once, in order, and then the end."""
    lines = log.splitlines(keepends=True)
    return log == b"".join(b"%d\n" % number for number in range(len(lines) - 1)) + b"end\n"


def kill(server: Server, victim: str) -> None:
    """SIGKILL the process of a server, or all of them, after which it is started again."""
    if victim == "server":
        server.kill()
        server.start()
    else:
        os.kill(_pid(server, f"bench_server.{victim}"), signal.SIGKILL)


def _pid(server: Server, module: str) -> int:
    found: list[int] = []

    def is_there() -> bool:
        with contextlib.suppress(ValueError, psutil.Error):  # it is just being started again
            found.append(server.pid_of(module))
        return bool(found)

    until(is_there)
    return found[0]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
