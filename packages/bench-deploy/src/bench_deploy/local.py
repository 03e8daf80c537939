"""The container of a run on this machine, without a server: to see what goes on in it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from secrets import token_hex

import psutil
from bench_core import (
    DATA_ROOT_VARIABLE,
    PROJECT_FILE,
    ImageSettings,
    ProjectSettings,
    data_root,
    read_project,
)
from filelock import FileLock, Timeout

from bench_deploy.bundle import packed
from bench_deploy.bundle_plan import plan_bundle
from bench_deploy.engine import ContainerSpec, Limits, Mount
from bench_deploy.engine.gpus import gpu_problem, list_gpus, too_few
from bench_deploy.errors import EngineError
from bench_deploy.image import BuiltImage, build_image
from bench_deploy.inside import INSIDE, cache_variables, container_user
from bench_deploy.run import RunSpec
from bench_deploy.send_code import Say, say_on_stderr
from bench_deploy.unpacking import unpack

LABEL = "bench.local"

MEMORY_SHARE = 0.8
"""Of the machine's memory, unless told: the rest is for whoever looks on."""

SHELL = ("sh", "-c", "command -v bash >/dev/null && exec bash || exec sh")
"""The command of a container to look around in."""


def build_local(folder: Path, project: ProjectSettings, *, say: Say = say_on_stderr) -> BuiltImage:
    """Make the image that runs of a project have.

    Args:
        folder: The project's folder.
        project: Its settings.
        say: Takes what the build says, line by line.

    Raises:
        ImageError: It cannot be made.
        EngineError: Docker refused, or cannot be reached.
    """
    return _image(folder, folder, project, "", 0, say)


def run_local(
    folder: Path,
    project: ProjectSettings,
    spec: RunSpec,
    *,
    bundle: Path | None = None,
    say: Say = say_on_stderr,
) -> int:
    """Run a command in the container that a run would have, at this terminal.

    `.bench/local` of the project has what is left: `work`, the copy of the code that it ran in, and `output`.

    Args:
        folder: The project's folder.
        project: Its settings.
        spec: The command, what it may use, and a lock to keep to; its bundle and datasets are not looked at.
        bundle: Its code; the folder's as it lies unless given.
        say: Takes what the build says, line by line.

    Returns:
        The command's exit code; 128 + N where signal N ended it.

    Raises:
        BundleError: The code cannot be packed.
        ImageError: The image cannot be made.
        EngineError: Docker refused, or cannot be reached.
    """
    with _own(folder / ".bench" / "local") as place:
        gpus = _gpus(spec.gpu_count)
        _put_code(folder, place / "work", bundle)
        image = _image(folder, place / "work", project, spec.lock, spec.gpu_count, say)
        return _run(_container(place, folder, image.image_id, spec, gpus), say)


@contextmanager
def _own(place: Path) -> Iterator[Path]:
    user = container_user()
    for name in ("work", "output", "cache"):
        (place / name).mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0:
            os.chown(place / name, *user)
    try:
        with FileLock(place / "lock", timeout=0):
            yield place
    except Timeout:
        raise EngineError(
            "another container of this project runs at a terminal of this machine",
            hint="End it first: both would have the same folder.",
        ) from None


def _put_code(folder: Path, work: Path, bundle: Path | None) -> None:
    for entry in work.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    if bundle is not None:
        unpack(bundle, work, container_user())
        return
    with packed(plan_bundle(folder)) as made:
        unpack(made.path, work, container_user())


def _image(
    folder: Path, code: Path, project: ProjectSettings, lock: str, gpu_count: int, say: Say
) -> BuiltImage:
    has_file = (code / PROJECT_FILE).is_file()
    return build_image(
        code,
        read_project(code).image if has_file else ImageSettings(),
        user=container_user(),
        state=folder / ".bench" / "images",
        lock=lock,
        project=project.id,
        gpu_count=gpu_count,
        say=say,
    )


def _container(place: Path, folder: Path, image: str, spec: RunSpec, gpus: tuple[str, ...]) -> ContainerSpec:
    memory = spec.memory_bytes or int(psutil.virtual_memory().total * MEMORY_SHARE)
    datasets = data_root(os.environ.get(DATA_ROOT_VARIABLE) or folder / ".bench" / "datasets")
    datasets.mkdir(parents=True, exist_ok=True)
    writable = [_mount(place / name, name, writable=True) for name in ("work", "output", "cache")]
    return ContainerSpec(
        name=f"bench-local-{token_hex(4)}",
        image=image,
        command=spec.command,
        labels={LABEL: str(folder)},
        environment={
            "BENCH_OUTPUT": str(INSIDE / "output"),
            "BENCH_TRACK_ROOT": str(INSIDE / "output" / "track"),
            DATA_ROOT_VARIABLE: str(INSIDE / "datasets"),
            **cache_variables(INSIDE / "cache"),
            **spec.environment,
        },
        mounts=[*writable, _mount(datasets, "datasets", writable=False)],
        work=str(INSIDE / "work"),
        user=container_user(),
        limits=Limits(
            cpu_millis=spec.cpu_millis or 1000 * (os.cpu_count() or 1),
            memory_bytes=memory,
            shared_memory_bytes=max(memory // 2, 64 << 20),
            gpus=gpus,
        ),
    )


def _mount(source: Path, name: str, *, writable: bool) -> Mount:
    return Mount(source=str(source), target=str(INSIDE / name), writable=writable)


def _gpus(count: int) -> tuple[str, ...]:
    found = [gpu.uuid for gpu in list_gpus()] if count else []
    if len(found) < count:
        raise EngineError(too_few(count, len(found), gpu_problem()), hint="Ask for fewer: --gpus N")
    return tuple(found[:count])


def _run(spec: ContainerSpec, say: Say) -> int:
    """Make the container as an engine does, and leave the terminal to Docker's own command."""
    import docker

    from bench_deploy.engine.docker import DockerEngine
    from bench_deploy.engine.docker_errors import docker_errors
    from bench_deploy.engine.docker_profile import create_arguments

    engine = DockerEngine()
    if problem := engine.close_host():
        say(f"Containers reach this machine's own ports: {problem}")
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    with docker_errors(f"make container {spec.name}"), closing(docker.from_env()) as client:
        client.containers.create(**create_arguments(spec), tty=is_terminal, stdin_open=True)
    try:
        return subprocess.call(["docker", "start", "--attach", "--interactive", spec.name])
    except FileNotFoundError:
        raise EngineError(
            "Docker's own command `docker` is not installed", hint="It joins the container to the terminal."
        ) from None
    finally:
        engine.remove(spec.name)
        engine.close()
