"""A step of a build: a script in a container, whose output is passed on as it comes.

What the script may know and nobody else (an index's password) lies in a file that is mounted; it is never
part of the container's configuration, and everything under /tmp is gone with the container.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_deploy.engine.docker_errors import docker_errors
from bench_deploy.image.found import find_image
from bench_deploy.image.layers import HOME, INPUT, VENV
from bench_deploy.image.sources import PackageSources
from bench_deploy.image.step_errors import step_error

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

LABEL = "bench.image"
"""Of build containers and of images."""

REPOSITORY = "bench-image"
OUTPUT = "/tmp/bench-output"
TAIL_LINES = 200
POLL_SECONDS = 0.1
QUIET_SECONDS = 5.0
"""After so long without output something is said: people see it, and who wants the build to end can."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

START = f"""
exec >>{OUTPUT}/log 2>&1
set -eu
set -a; . {INPUT}/environment; set +a
mkdir /tmp/bench-bin
ln -s /tmp/bench-uv /tmp/bench-bin/uv
PATH="$PATH:/tmp/bench-bin"
[ -n "${{SSL_CERT_FILE:-}}" ] || [ ! -e /etc/ssl/certs/ca-certificates.crt ] || export UV_SYSTEM_CERTS=1
"""

UV_VARIABLES = {
    "UV_CACHE_DIR": "/tmp/bench-cache",
    "UV_LINK_MODE": "copy",  # the cache is on another file system
    "UV_NO_CONFIG": "1",
    "UV_NO_PROGRESS": "1",
    "UV_PYTHON_DOWNLOADS": "never",
    "HOME": "/tmp",
}

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Builder:
    """What all steps of a build share.

    Args:
        client: Docker.
        sources: Where packages come from.
        say: Takes the output, line by line; what it raises ends the build.
        cache: The name of the volume that keeps downloads.
        owner: Part of the containers' names: nobody else makes these.
        scratch: Where steps keep files, with passwords perhaps; the next try removes what is left of one.
    """

    client: DockerClient
    sources: PackageSources
    say: Say
    cache: str
    owner: str
    scratch: Path

    def tell(self, text: str) -> None:
        """Say something of our own."""
        self.say(f"== {text}")

    def run(
        self, name: str, image: str, script: str, files: Mapping[str, bytes], *, key: str, result: str
    ) -> str:
        """Do a step that leaves no image.

        Args:
            name: What it does, for people.
            image: The image it is done in.
            script: What a shell does.
            files: What that finds in `INPUT`.
            key: Names the container; nobody of the same owner uses it meanwhile.
            result: A file that it leaves in `OUTPUT`.

        Returns:
            What is in that file.

        Raises:
            ImageError: It failed.
            EngineError: Docker refused.
        """
        with self._container(name, image, script, files, key) as (_, output):
            return (output / result).read_text("utf-8")

    def commit(
        self,
        name: str,
        image: str,
        script: str,
        files: Mapping[str, bytes],
        *,
        key: str,
        user: tuple[int, int],
    ) -> str:
        """Do a step, and make what it leaves an image.

        Args:
            name: What it does, for people.
            image: The image it is done in.
            script: What a shell does.
            files: What that finds in `INPUT`.
            key: Names the container, and the new image; nobody of the same owner uses it meanwhile.
            user: Whom its containers run as, unless told otherwise.

        Returns:
            The id of the new image.

        Raises:
            ImageError: It failed; nothing of it stays.
            EngineError: Docker refused.
        """
        path = _path_of(self.client, image)
        with (
            self._container(name, image, script, files, key) as (container, _),
            docker_errors("keep the image"),
        ):
            changes = [
                f"ENV PATH={path} VIRTUAL_ENV={VENV} HOME={HOME}",
                f"USER {user[0]}:{user[1]}",
                "WORKDIR /",
                "ENTRYPOINT []",
                'CMD ["python"]',
                f"LABEL {LABEL}={key}",
            ]
            made = container.commit(repository=REPOSITORY, tag=key, changes=changes, message=f"Bench: {name}")
            return str(made.id)

    @contextlib.contextmanager
    def _container(
        self, name: str, image: str, script: str, files: Mapping[str, bytes], key: str
    ) -> Iterator[tuple[Container, Path]]:
        container_name = f"bench-build-{self.owner}-{key[:16]}"
        self._remove(container_name)  # of a builder that was killed
        with _fresh_folder(self.scratch / key[:16]) as scratch:
            folder, output = scratch / "input", scratch / "output"
            folder.mkdir(mode=0o700)
            output.mkdir()
            _write(folder, {**files, "step": (START + script).encode(), "environment": self._environment()})
            with docker_errors(f"start the step {name!r}"):
                container = self.client.containers.create(
                    image, name=container_name, **self._profile(folder, output)
                )
            try:
                self._finish(name, container, output / "log")
                yield container, output
            finally:
                self._remove(container_name)

    def _remove(self, container_name: str) -> None:
        from docker.errors import NotFound

        with docker_errors(f"remove container {container_name}"), contextlib.suppress(NotFound):
            self.client.api.remove_container(container_name, v=True, force=True)

    def _profile(self, folder: Path, output: Path) -> dict[str, Any]:
        import uv
        from docker.types import LogConfig, Mount

        read_only = {INPUT: str(folder), "/tmp/bench-uv": uv.find_uv_bin(), **self.sources.mounts}
        return {
            "command": ["/bin/sh", f"{INPUT}/step"],
            "entrypoint": [],
            "user": "0:0",
            "working_dir": "/",
            "labels": {LABEL: "build"},
            "tmpfs": {"/tmp": "exec,mode=1777"},
            # Not as `volumes`, which would become volumes of the image.
            "mounts": [
                *(Mount(target, source, "bind", read_only=True) for target, source in read_only.items()),
                Mount(OUTPUT, str(output), "bind"),
                Mount(UV_VARIABLES["UV_CACHE_DIR"], self.cache, "volume"),
            ],
            "log_config": LogConfig(type="none"),
        }

    def _environment(self) -> bytes:
        variables = {**UV_VARIABLES, **self.sources.variables}
        return "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items()).encode()

    def _finish(self, name: str, container: Container, log: Path) -> None:
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        log.touch()
        with docker_errors(f"do the step {name!r}"):
            container.start()
        for line in _followed(name, container, log):
            shown = self._without_secrets(line)
            tail.append(shown)
            self.say(shown)
        with docker_errors(f"do the step {name!r}"):
            code = int(container.wait()["StatusCode"])
        if code:
            raise step_error(name, list(tail), code)

    def _without_secrets(self, line: str) -> str:
        for secret in self.sources.secrets:
            line = line.replace(secret, "****")
        return line


def _followed(name: str, container: Container, log: Path) -> Iterator[str]:
    """The lines of a step as they come, and one of our own where none comes for long."""
    start = last = time.monotonic()
    rest = b""
    is_over = False
    with log.open("rb") as file:
        while not is_over:
            with docker_errors(f"follow the step {name!r}"):
                container.reload()
            is_over = container.status in ("exited", "dead")  # looked at before the last bytes are read
            *whole, rest = (rest + file.read()).split(b"\n")
            if is_over and rest:
                whole.append(rest)
            for line in whole:
                yield line.decode(errors="replace").rstrip()
            if whole:
                last = time.monotonic()
            elif time.monotonic() - last > QUIET_SECONDS:
                last = time.monotonic()
                yield f"... {name}: {last - start:.0f} s"
            if not (whole or is_over):
                time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def _fresh_folder(path: Path) -> Iterator[Path]:
    """A folder that is empty whatever a killed builder left, and gone at the end."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700, parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)


def _path_of(client: DockerClient, image: str) -> str:
    variables: list[str] = (find_image(client, image) or {}).get("Config", {}).get("Env") or []
    given = dict(item.partition("=")[::2] for item in variables).get("PATH") or DEFAULT_PATH
    own = f"{VENV}/bin"
    return given if given.split(":")[0] == own else f"{own}:{given}"
