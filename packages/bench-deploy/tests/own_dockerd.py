"""A Docker daemon of a test's own, in a network of its own, that can be ended and started again."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine_rigs import until


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

    def load(self, *images: str) -> None:
        """Give it images of the machine's daemon."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saved:
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


@contextmanager
def own_dockerd(*images: str) -> Iterator[Daemon]:
    """A daemon that does not run yet, with images of the machine's."""
    daemon = Daemon(Path(tempfile.mkdtemp(prefix="bd-", dir="/tmp")))  # a short path: sockets lie in it
    try:
        daemon.start()
        daemon.load(*images)
        daemon.end()
        yield daemon
    finally:
        daemon.clean()
