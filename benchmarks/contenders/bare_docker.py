"""Docker without Bench: `docker build` of the same steps, `docker run` of the same image."""

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from bench_deploy.image.bench_packages import OF_AGENT, OF_TRAINING, bench_wheel, requirements_of_others
from bench_deploy.image.layers import INPUT, VENV, agent_layer, bench_layer, python_layers, system_layer
from bench_deploy.image.lock import AGENT_PROJECT, COMPILE, LockStore
from bench_deploy.image.step import OUTPUT
from bench_deploy.inside import container_user

from benchmarks import runs_scripts as scripts
from benchmarks.runs_ground import (
    REQUIREMENTS,
    SETTINGS,
    base_image,
    build_variables,
    docker_build,
    remove_base,
)

Step = tuple[str, Mapping[str, bytes]]
"""What a shell does, and the files that it finds in `INPUT`."""


def build(source: Path) -> float:
    """Seconds of a first build: our scripts, each a RUN, with what Bench found for versions."""
    base = base_image(is_cold=True)
    lines = [f"FROM {base}", f"RUN mkdir {OUTPUT}"]
    lines += [f"ENV {name}={value}" for name, value in build_variables().items()]
    files: dict[str, bytes] = {}
    for number, (script, given) in enumerate(_steps(LockStore(source / "images" / "locks"))):
        files |= {f"{number}/{name}": data for name, data in {"step": script.encode(), **given}.items()}
        lines += [f"COPY {number} {INPUT}", f"RUN sh -eu {INPUT}/step"]
    try:
        begin = time.perf_counter()
        docker_build(base.replace(":", "-bare:"), lines, files)
        return time.perf_counter() - begin
    finally:
        remove_base(base)


def start(image: str, folder: Path) -> float:
    """Seconds until the script has its import."""
    script = folder / "TrainScript.py"
    script.write_text(scripts.IMPORT)
    begin = time.time()
    words = ["docker", "run", "--rm", "--volume", f"{script}:/TrainScript.py:ro", image]
    said = subprocess.run([*words, "python", "/TrainScript.py"], check=True, stdout=subprocess.PIPE).stdout
    return float(said) - begin


def copy_packages(image: str, target: Path) -> None:
    """Copy what an image's training can import.

    Raises:
        RuntimeError: The image has another python than this process.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    words = ["docker", "create", image]
    container = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    try:
        packages = f"{container}:{VENV}/lib/{version}/site-packages"
        if subprocess.run(["docker", "cp", packages, str(target)]).returncode:
            raise RuntimeError(f"the image has no {version}, which the step by hand is done by")
    finally:
        subprocess.run(["docker", "rm", container], check=True, stdout=subprocess.DEVNULL)


def _steps(locks: LockStore) -> list[Step]:
    lock, agent_lock = locks.newest("default"), locks.newest(AGENT_PROJECT)
    system = system_layer("", SETTINGS, container_user())
    agent, python = agent_layer("", agent_lock), python_layers("", lock)
    bench = bench_layer("", [bench_wheel(name) for name in OF_AGENT])
    made = [(layer.script, layer.files) for layer in (system, agent, *python, bench)]
    found = [_finding(REQUIREMENTS, OF_TRAINING), _finding("", OF_AGENT)]
    return [made[0], *found, *made[1:]]


def _finding(requirements: str, ours: tuple[str, ...]) -> Step:
    """Find versions."""
    wanted = "".join(f"{text}\n" for text in requirements_of_others(ours))
    texts = {"requirements.in": requirements, "bench.in": wanted, "constraints.in": "", "earlier.txt": ""}
    return COMPILE, {name: text.encode() for name, text in texts.items()}
