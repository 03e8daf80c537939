"""The engines, each with a way to make a container that ends when a test says so."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from bench_deploy.engine import Container, ContainerSpec, Engine, Limits, Mount
from bench_deploy.engine.docker import DockerEngine
from bench_deploy.engine.fake import FakeEngine
from bench_deploy.engine.process import ProcessEngine

IMAGE = os.environ.get("BENCH_BASE_IMAGE", "bench-base:bookworm")
LABEL = "bench-test"
USER = (65532, 65532)
LIMITS = Limits(cpu_millis=1000, memory_bytes=256 << 20, process_count=64)
PATIENCE_SECONDS = 60.0

UNTIL_TOLD = """
import os, signal, sys, time
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
open("started", "w").close()
while not os.path.exists("exit"):
    time.sleep(0.01)
sys.exit(int(open("exit").read()))
"""


class Rig:
    """An engine under test, and its containers."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.session = uuid4().hex[:12]
        self.made: list[str] = []

    def spec(self, suffix: str = "1", *, deaf: bool = False) -> ContainerSpec:
        """A container that runs until `finish`."""
        return self.command([sys.executable, "-c", UNTIL_TOLD, *(["deaf"] if deaf else [])], suffix)

    def command(self, command: Sequence[str], suffix: str = "1") -> ContainerSpec:
        name = f"bench-test-{self.session}-{suffix}"
        self.made.append(name)
        return ContainerSpec(
            name=name,
            image="",
            command=command,
            labels={LABEL: self.session, "number": suffix},
            environment={"GREETING": "hello"},
            mounts=[],
            work=str(self.work(name)),
            user=USER,
            limits=LIMITS,
        )

    def unstartable(self) -> ContainerSpec:
        """A container whose start fails, with "not a directory" in the reason."""
        spec = self.spec()
        not_a_folder = self.folder / "file"
        not_a_folder.touch()
        return replace(spec, work=str(not_a_folder))

    def work(self, name: str) -> Path:
        work = self.folder / name
        work.mkdir(exist_ok=True)
        return work

    def started(self, name: str) -> None:
        """Wait until the command itself runs."""
        until(lambda: (self.work(name) / "started").exists())

    def finish(self, name: str, code: int) -> None:
        new = self.work(name) / "exit.new"
        new.write_text(str(code))
        new.rename(self.work(name) / "exit")

    def again(self) -> Engine:
        """The same engine, as a process sees it that starts anew."""
        raise NotImplementedError

    def ended(self, name: str) -> Container:
        container = self.engine.wait(name, PATIENCE_SECONDS)
        assert container is not None
        return container

    def clean(self) -> None:
        for name in self.made:
            self.engine.remove(name)


class FakeRig(Rig):
    def __init__(self, folder: Path) -> None:
        self.fake = FakeEngine()
        super().__init__(self.fake, folder)

    def spec(self, suffix: str = "1", *, deaf: bool = False) -> ContainerSpec:
        spec = super().spec(suffix, deaf=deaf)
        if deaf:
            self.fake.deaf.add(spec.name)
        return spec

    def unstartable(self) -> ContainerSpec:
        self.fake.start_error = "not a directory"
        return self.spec()

    def started(self, name: str) -> None:
        assert self.engine.inspect(name)

    def finish(self, name: str, code: int) -> None:
        self.fake.finish(name, code)

    def again(self) -> Engine:
        return self.fake


class ProcessRig(Rig):
    def __init__(self, folder: Path) -> None:
        super().__init__(ProcessEngine(folder / "engine"), folder)

    def again(self) -> Engine:
        return ProcessEngine(self.folder / "engine")


class DockerRig(Rig):
    def __init__(self, folder: Path, base_url: str | None = None) -> None:
        self.docker = DockerEngine(base_url)
        super().__init__(self.docker, folder)
        self._base_url = base_url

    def command(self, command: Sequence[str], suffix: str = "1") -> ContainerSpec:
        spec = super().command(command, suffix)
        python = ["python3" if part == sys.executable else part for part in command]
        mount = Mount(source=spec.work, target="/bench/work", writable=True)
        return replace(spec, command=python, image=IMAGE, mounts=[mount], work="/bench/work")

    def unstartable(self) -> ContainerSpec:
        spec = self.spec()
        return replace(spec, mounts=[Mount(source=str(self.folder), target="/etc/passwd")], work="/")

    def work(self, name: str) -> Path:
        work = super().work(name)
        work.chmod(0o777)
        return work

    def again(self) -> Engine:
        self.docker.close()
        self.docker = DockerEngine(self._base_url)
        return self.docker

    def clean(self) -> None:
        super().clean()
        self.docker.close()


def docker_says(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def rig(kind: str, folder: Path) -> Iterator[Rig]:
    made = {"fake": FakeRig, "process": ProcessRig, "docker": DockerRig}[kind](folder)
    try:
        yield made
    finally:
        made.clean()
