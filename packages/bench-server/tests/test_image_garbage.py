"""gc and disk, of the images that a server's runs have on a real Docker daemon."""

import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from bench_protos.runs.v1 import runs_pb2 as pb
from image_tools import make_wheel
from matrix_tools import COUNTING, HeldIndex, counted, docker_says, end, held_index, own_images
from runner_tools import Runs, running

pytestmark = pytest.mark.needs("dockerd")

SMALL: dict[str, Any] = {"cpu_millis": 200, "memory_bytes": 256 << 20}


@pytest.fixture
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeldIndex]:
    with held_index(tmp_path_factory.mktemp("index")) as found:
        yield found


@pytest.fixture
def runs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("server")
    make_wheel(folder / "wheels", "bench-gc-test", "1.0", size=2_000_000)
    monkeypatch.setenv("UV_FIND_LINKS", str(folder / "wheels"))
    with own_images(folder / "data"), running(folder, "docker") as found:
        yield found


def collect(runs: Runs, *words: str) -> "subprocess.CompletedProcess[str]":
    found = runs.server.command("gc", *words)
    assert found.returncode == 0, found.stderr
    return found


def images(runs: Runs) -> set[str]:
    used = {path.name for path in (runs.server.data / "images" / "used").iterdir()}
    return used & set(docker_says("images", "--format={{.Tag}}", "bench-image").split())


def test_old_images_go_and_those_of_unfinished_runs_stay(runs: Runs, index: HeldIndex) -> None:
    ended = runs.submit("import bench_gc_test", files={"requirements.txt": "bench-gc-test\n"}, **SMALL)
    assert runs.wait(ended).reason == "succeeded"
    living = runs.submit(COUNTING, **SMALL)
    runs.wait_for_log(living, b"5\n")
    before = images(runs)
    long_ago = time.time() - 40 * 86_400
    for note in (runs.server.data / "images" / "used").iterdir():
        os.utime(note, (long_ago, long_ago))

    building = runs.submit("", files={"requirements.txt": index.requirements("bench-gc-held")}, **SMALL)
    index.asked.wait()
    busy = collect(runs, "--delete")
    assert busy.stderr == "Images: an image is being made, so none was looked at.\n"
    assert images(runs) >= before
    runs.stop(building)
    index.go_on.set()
    assert runs.wait(building).state == pb.RUN_STATE_STOPPED

    counted_only = collect(runs)
    assert " and 2 layers of images, " in counted_only.stdout  # "other requirements", and "Bench" on it
    assert images(runs) == before
    removed = collect(runs, "--delete")
    assert removed.stdout == f"Removed {counted_only.stdout.partition(' that ')[0]}.\n"
    left = images(runs)
    assert len(before - left) == 2
    assert left < before
    end(runs, living)
    assert runs.wait(living).reason == "succeeded"
    assert counted(runs.log(living))
    again = runs.submit("import bench_gc_test", files={"requirements.txt": "bench-gc-test\n"}, **SMALL)
    assert runs.wait(again).reason == "succeeded"

    shown = runs.server.command("disk").stdout
    sizes = {" ".join(line.split()[1:]): int(line.split()[0].replace(",", "")) for line in shown.splitlines()}
    assert sizes["images"] > 2_000_000
    assert sizes["downloads of images"] > 0


def test_a_docker_that_is_away_keeps_no_other_garbage(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.submit("print(1)", **SMALL)
    runs.wait(run)
    left = runs.server.data / "logs" / "01890000-0000-7000-8000-000000000000"
    left.mkdir()
    (left / "1").write_bytes(b"x" * 5000)
    runs.server.environment["DOCKER_HOST"] = "unix:///no/such/docker.sock"
    found = collect(runs, "--delete")
    assert found.stderr == "Images: cannot reach Docker: no Docker daemon answers.\n"
    assert "1 folders of deleted runs" in found.stdout
    assert not left.exists()
    assert "images" not in runs.server.command("disk").stdout
