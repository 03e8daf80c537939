"""What a container becomes when its daemon goes: on a daemon of the test's own, in a network of its own."""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench_deploy.engine import ContainerState, DockerEngine
from bench_deploy.errors import EngineAwayError
from engine_rigs import IMAGE, LABEL, DockerRig, until

pytestmark = pytest.mark.needs("dockerd", "root")


class Daemon:
    """A dockerd that can be ended and started again."""

    def __init__(self, folder: Path) -> None:
        self.url = f"unix://{folder}/docker.sock"
        self._folder = folder
        # A network name space of its own, that outlives it: its bridge and firewall are not the machine's.
        self._network = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        network = f"/proc/{self._network.pid}/ns/net"
        until(lambda: os.readlink(network) != os.readlink("/proc/self/ns/net"))
        self._command = [
            *["nsenter", f"--net={network}", "dockerd", "--bridge=none", f"--host={self.url}"],
            *[f"--pidfile={folder}/pid", f"--data-root={folder}/data", f"--exec-root={folder}/run"],
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*self._command, *options], stdout=log, stderr=log)
        until(self._answers)

    def _answers(self) -> bool:
        command = ["docker", f"--host={self.url}", "version"]
        return subprocess.run(command, capture_output=True).returncode == 0

    def end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def load(self, image: str) -> None:
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
            docker_load = ["docker", f"--host={self.url}", "load"]
            subprocess.run(docker_load, stdin=saved.stdout, capture_output=True, check=True)

    def clean(self) -> None:
        self.end()
        self._network.kill()
        self._network.wait()
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        own = [mount for mount in reversed(mounts) if mount.startswith(f"{self._folder}/")]
        if own:
            subprocess.run(["umount", "--lazy", *own], check=True)
        shutil.rmtree(self._folder)


@pytest.fixture(scope="module")
def own(dockerd: None) -> Iterator[Daemon]:
    daemon = Daemon(Path(tempfile.mkdtemp(prefix="bd-", dir="/tmp")))  # a short path: sockets lie in it
    try:
        daemon.start()
        daemon.load(IMAGE)
        daemon.end()
        yield daemon
    finally:
        daemon.clean()


@pytest.mark.parametrize("options", [(), ("--live-restore",)], ids=["stops", "live-restore"])
def test_a_daemon_that_restarts(own: Daemon, options: tuple[str, ...], tmp_path: Path) -> None:
    own.start(*options)
    rig = DockerRig(tmp_path, own.url)
    spec = rig.spec()
    rig.engine.submit(spec)
    rig.started(spec.name)
    waited: list[object] = []

    def wait() -> None:
        try:
            waited.append(rig.engine.wait(spec.name, 600))
        except EngineAwayError as error:
            waited.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    own.end()
    waiting.join()
    for call in (rig.engine.inspect, rig.engine.remove):
        with pytest.raises(EngineAwayError):
            call(spec.name)
    with pytest.raises(EngineAwayError):
        rig.engine.list(LABEL, rig.session)
    with pytest.raises(EngineAwayError):
        rig.engine.submit(spec)

    own.start(*options)
    [found] = rig.engine.list(LABEL, rig.session)
    assert found.name == spec.name
    if options:
        assert isinstance(waited[0], EngineAwayError)
        assert found.state is ContainerState.RUNNING
        rig.engine.submit(spec)
        rig.finish(spec.name, 5)
        assert rig.ended(spec.name).exit_code == 5
    else:
        assert found.state is ContainerState.EXITED
        rig.engine.submit(spec)
        assert rig.ended(spec.name) == found
    rig.clean()
    assert DockerEngine(own.url).list(LABEL, rig.session) == []
    own.end()
