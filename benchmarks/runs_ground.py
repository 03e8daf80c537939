"""What the works with runs stand on: an image that marks all that is made on it; a server with a project."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import uv
from bench_core import BASE_IMAGE_VARIABLE, ImageSettings
from bench_deploy.image import BuiltImage, build_image
from bench_deploy.image.sources import package_sources
from bench_deploy.image.step import UV_VARIABLES
from bench_deploy.inside import container_user

from benchmarks import runs_scripts as scripts
from benchmarks.servers import BenchServer, bench_server

LABEL = "bench.benchmarks"
TOKEN_VARIABLE = "BENCH_BENCHMARKS_TOKEN"
BASE_IMAGE = "bench-base:bookworm"
"""What .ci/base-image makes. It has the wheel of torch, so no network is measured for that."""

SETTINGS = ImageSettings(find_links=("/srv/wheels",))
REQUIREMENTS = "torch==2.13.0\n"
PROJECT_FILE = """
[project]
id = "{id}"
name = "catdog"

[image]
find_links = ["/srv/wheels"]
"""
HOST_SOURCES = ("PIP_FIND_LINKS", "UV_FIND_LINKS", "SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
"""Paths of this machine, which `docker build` cannot see: nobody gets them."""

WHEEL_VOLUME = "bench-wheels"


@contextmanager
def marked_docker() -> Iterator[None]:
    """Whatever is made on `base_image` meanwhile is removed at the end: it inherits that image's label."""
    os.environ[TOKEN_VARIABLE] = token = uuid4().hex[:12]
    had_wheels = bool(_docker("volume", "ls", "-q", "--filter", f"name=^{WHEEL_VOLUME}$"))
    mark = f"label={LABEL}={token}"
    try:
        yield
    finally:
        _remove("container", _docker("container", "ls", "-aq", "--filter", mark), "-f", "-v")
        _remove("image", _docker("image", "ls", "-aq", "--filter", mark), "-f")
        _remove("volume", _docker("volume", "ls", "-q", "--filter", f"name={_name()}"))
        if not had_wheels:
            _remove("volume", [WHEEL_VOLUME], "-f")


def base_image(*, is_cold: bool = False) -> str:
    """The base image with our label and uv; one that nothing stands on, if cold."""
    given = os.environ.get(BASE_IMAGE_VARIABLE) or BASE_IMAGE
    name = f"{_name()}:{uuid4().hex[:12] if is_cold else 'base'}"
    token = os.environ[TOKEN_VARIABLE]
    lines = [f"FROM {given}", "COPY uv /usr/local/bin/uv", f"LABEL {LABEL}={token} {LABEL}.name={name}"]
    docker_build(name, lines, {"uv": Path(uv.find_uv_bin()).read_bytes()})
    return name


def remove_base(name: str) -> None:
    """Remove such an image, and what was made on it."""
    mark = f"label={LABEL}.name={name}"
    _remove("image", _docker("image", "ls", "-aq", "--filter", mark), "-f")


def docker_build(name: str, lines: list[str], files: dict[str, bytes]) -> None:
    """`docker build` of a Dockerfile's lines, with files by their paths."""
    with tempfile.TemporaryDirectory() as made:
        for path, content in {**files, "Dockerfile": "\n".join(lines).encode()}.items():
            place = Path(made, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            place.chmod(0o755)
        words = ["docker", "build", "--force-rm", "--tag", name, made]
        built = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if built.returncode:
        raise RuntimeError(f"docker build failed:\n{built.stdout[-2000:]}")


def build_variables() -> dict[str, str]:
    """What uv is told in a build, but for its cache, which a bare one has not."""
    sources = package_sources(SETTINGS, _environment())
    own = {"UV_NO_CACHE": "1", "UV_SYSTEM_CERTS": "1"}
    given = {name: value for name, value in UV_VARIABLES.items() if name.startswith("UV_NO")}
    return {**given, **own, **sources.variables}


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in HOST_SOURCES}


def bench_build(folder: Path, state: Path, base: str, cache: str) -> BuiltImage:
    """Our build of a folder's requirements."""
    return build_image(
        folder,
        SETTINGS,
        user=container_user(),
        state=state,
        environment={**_environment(), BASE_IMAGE_VARIABLE: base},
        cache=cache,
    )


def remove_wheels(name: str) -> None:
    """Remove such a volume."""
    _remove("volume", [name])


def wheel_cache(*, is_cold: bool = False) -> str:
    """A volume for downloads; an empty one, if cold."""
    return f"{_name()}-{uuid4().hex[:12] if is_cold else 'wheels'}"


def make_ground(cache: Path, _samples: int) -> Path:
    """The image that all trainings have, made once: `images` is its state, `image.txt` its id."""
    folder = cache / "work" / "ground"
    if not folder.exists():
        folder.mkdir()
        (folder / "requirements.txt").write_text(REQUIREMENTS)
        made = bench_build(folder, folder / "images", base_image(), wheel_cache())
        (folder / "image.txt").write_text(made.image_id)
    return folder


def image_of(ground: Path) -> str:
    """The id of the image that `make_ground` made."""
    return (ground / "image.txt").read_text()


@dataclass(frozen=True)
class Ground:
    """A server that runs in Docker, and a project.

    Args:
        server: The server.
        folder: The project's.
    """

    server: BenchServer
    folder: Path

    def put(self, script: str) -> None:
        """Change the code: no other measurement had the same."""
        (self.folder / "TrainScript.py").write_text(f"# {uuid4()}\n{script}")

    def bench(self, *words: str, **options: Any) -> "subprocess.Popen[bytes]":
        """The command `bench`, in the project's folder."""
        program = str(Path(sys.executable).with_name("bench"))
        return subprocess.Popen([program, *words], cwd=self.folder, **options)

    def run(self, script: str) -> str:
        """`bench run --follow` of a script; what the training said."""
        self.put(script)
        process = self.bench("run", "--follow", "--yes", stdout=subprocess.PIPE)
        said, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"bench run --follow: {process.returncode}")
        return said.decode()


@contextmanager
def open_ground(source: Path, out: Path) -> Iterator[Ground]:
    """A server whose image is there, a training behind it."""
    for name in HOST_SOURCES:
        os.environ.pop(name, None)
    os.environ.update({"BENCH_ENGINE": "docker", BASE_IMAGE_VARIABLE: f"{_name()}:base"})
    with (
        tempfile.TemporaryDirectory(prefix="r", dir=out.parent) as made,
        bench_server(Path(made), links=True) as server,
    ):
        shutil.copytree(source / "images", server.data / "images", dirs_exist_ok=True)
        folder = Path(made, "project")
        folder.mkdir()
        (folder / "bench.toml").write_text(PROJECT_FILE.format(id=server.project))
        (folder / "requirements.txt").write_text(REQUIREMENTS)
        ground = Ground(server, folder)
        ground.run(scripts.IMPORT)
        yield ground


def _name() -> str:
    return f"bench-benchmarks-{os.environ[TOKEN_VARIABLE]}"


def _docker(*words: str) -> list[str]:
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout.split()


def _remove(kind: str, names: list[str], *options: str) -> None:
    """Children go with their parents, so some names may be gone by then."""
    if names:
        words = ["docker", kind, "rm", *options, *dict.fromkeys(names)]
        subprocess.run(words, check=False, capture_output=True)
