"""Images built on a real Docker daemon, from packages that are made here; nothing of them stays."""

import base64
import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import docker
from bench_core import ImageSettings
from bench_deploy.image import BuiltImage, build_image, collect_images
from blake3 import blake3

USER = (4711, 4712)
BASE = os.environ.get("BENCH_BASE_IMAGE", "bench-base:bookworm")


class ImageRig:
    """Builds images on a base image of its own, so that it finds none of an earlier session."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.client = docker.from_env()
        self.session = uuid4().hex[:12]
        self.base = f"bench-image-test:{self.session}"
        self.cache = f"bench-image-test-{self.session}"
        self.environment = dict(os.environ, BENCH_BASE_IMAGE=self.base)
        made = self.client.containers.create(BASE, ["true"])
        made.commit("bench-image-test", self.session, changes=f"LABEL bench.test={self.session}")
        made.remove()

    def build(
        self,
        *packages: str,
        settings: ImageSettings | None = None,
        lock: str = "",
        project: str = "test",
        gpu_count: int = 0,
    ) -> BuiltImage:
        """An image of these packages, given as the lines of a requirements file."""
        with TemporaryDirectory() as folder:
            (Path(folder) / "requirements.txt").write_text("".join(f"{line}\n" for line in packages))
            return self.build_folder(
                Path(folder), settings=settings, lock=lock, project=project, gpu_count=gpu_count
            )

    def build_folder(
        self,
        folder: Path,
        *,
        settings: ImageSettings | None = None,
        lock: str = "",
        project: str = "test",
        gpu_count: int = 0,
        say: Callable[[str], None] | None = None,
    ) -> BuiltImage:
        self.output: list[str] = []
        return build_image(
            folder,
            settings or ImageSettings(),
            user=USER,
            state=self.state,
            lock=lock,
            project=project,
            gpu_count=gpu_count,
            say=say or self.output.append,
            client=self.client,
            environment=self.environment,
            cache=self.cache,
        )

    def steps(self) -> list[str]:
        return [line.removeprefix("== ") for line in self.output if line.startswith("== ")]

    def run(self, image: BuiltImage, *command: str) -> str:
        """What a command says in a container as small as those of runs: read only, no capabilities."""
        said = self.client.containers.run(
            image.image_id,
            list(command),
            remove=True,
            read_only=True,
            cap_drop=["ALL"],
            network_mode="none",
            tmpfs={"/tmp": "exec"},
        )
        return said.decode().strip()

    def containers(self) -> list[str]:
        owner = blake3(os.fsencode(self.state.resolve())).hexdigest()[:8]
        named: dict[str, str | list[str] | bool] = {"name": f"bench-build-{owner}-"}
        return [str(one.id) for one in self.client.containers.list(all=True, filters=named)]

    def layers(self) -> list[str]:
        """The tags of the images that were made, from the base up."""
        used = {f"bench-image:{path.name}" for path in (self.state / "used").glob("*")}
        there = {tag for image in self.client.images.list("bench-image") for tag in image.tags}
        return sorted(used & there)

    def close(self) -> None:
        collect_images(self.state, unused_days=0, limit_bytes=0, client=self.client)
        self.client.images.remove(self.base)
        left = self.client.images.list(filters={"label": f"bench.test={self.session}"}, all=True)
        assert left == []
        for volume in self.client.volumes.list(filters={"name": self.cache}):
            volume.remove()
        self.client.close()


def make_wheel(
    folder: Path, name: str, version: str, *, requires: tuple[str, ...] = (), size: int = 0
) -> None:
    """A package whose module has its version."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        *(f"Requires-Dist: {text}" for text in requires),
    ]
    files = {
        f"{module}/__init__.py": f"VERSION = {version!r}\n",
        f"{module}/data": "x" * size,
        f"{info}/METADATA": "\n".join([*metadata, ""]),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{module}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


class _Guarded(SimpleHTTPRequestHandler):
    """Files for those who know the password."""

    def __init__(self, *args: object, expected: str, seen: list[str], **options: object) -> None:
        self._expected, self._seen = expected, seen
        super().__init__(*args, **options)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != self._expected:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()
            return
        self._seen.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def index_with_password(folder: Path, user: str, password: str, host: str) -> Iterator[tuple[int, list[str]]]:
    """An index of the wheels in a folder.

    Yields:
        Its port, and the paths that were asked for with the password.
    """
    for wheel in folder.glob("*.whl"):
        place = folder / "simple" / wheel.name.partition("-")[0].replace("_", "-")
        place.mkdir(parents=True, exist_ok=True)
        (place / wheel.name).write_bytes(wheel.read_bytes())
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    seen: list[str] = []
    handler = partial(_Guarded, directory=str(folder), expected=expected, seen=seen)
    server = ThreadingHTTPServer((host, 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1], seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
