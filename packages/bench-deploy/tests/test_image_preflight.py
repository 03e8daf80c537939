"""What is looked at before a build, with a driver that a program of the test's own says there is."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bench_deploy.errors import ImageError
from bench_deploy.image.cuda import cuda_of_lock, newest_cuda
from bench_deploy.image.preflight import (
    CUDA_BYTES,
    HOOK,
    ROOM_BYTES,
    driver_problems,
    room_for,
    room_problems,
    toolkit_problems,
)
from image_tools import ImageRig, make_wheel

DOCKER: dict[str, Any] = {"Runtimes": {"runc": {}}, "DockerRootDir": "/"}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def has_driver(programs: Path, version: str) -> None:
    program(programs / "nvidia-smi", f'[ "$1" = --query-gpu=driver_version ] && echo {version}')


@pytest.mark.parametrize(
    ("lock", "expected"),
    [
        ("", 0),
        ("torch==2.6.0\nnumpy==2.2.0\n", 0),
        ("torch==2.6.0+cpu\n", 0),
        ("torch==2.4.1+cu118\n", 11),
        ("torch==2.6.0+cu124\ntorchvision==0.21.0+cu124\n", 12),
        ("torch==2.9.0+cu130\n", 13),
        ("nvidia-cuda-runtime-cu12==12.8.90 ; platform_system == 'Linux'\ntorch==2.8.0\n", 12),
        ("nvidia-cuda-runtime==13.0.96\ntorch==2.10.0\n", 13),
        ("cuda-toolkit[cublas,cudart]==13.0.2\ntorch==2.13.0\n", 13),
        ("torch @ https://download.pytorch.org/whl/cu121/torch-2.4.0%2Bcu121-cp311.whl\n", 12),
        ("flash-attn==2.8.3+cu12torch2.8cxx11abitrue\ntorch==2.8.0\n", 12),
    ],
)
def test_the_cuda_of_a_lock(lock: str, expected: int) -> None:
    assert cuda_of_lock(lock) == expected


@pytest.mark.parametrize(
    ("driver", "expected"),
    [("390.157", 0), ("450.80.02", 11), ("524.99", 11), ("525.60.13", 12), ("580.65.06", 13), ("610.1", 13)],
)
def test_the_cuda_of_a_driver(driver: str, expected: int) -> None:
    assert newest_cuda(driver) == expected


@pytest.mark.parametrize(
    ("driver", "lock", "expected"),
    [
        ("580.95.05", "nvidia-cuda-runtime==13.0.96\n", []),
        ("535.129.03", "torch==2.6.0+cu128\n", []),  # a minor version more than the driver's own
        ("390.157", "torch==2.6.0+cpu\n", []),
        ("600.10", "torch==9.0+cu140\n", []),  # nothing is known of it
        (
            "535.129.03",
            "nvidia-cuda-runtime==13.0.96\n",
            [
                (
                    "the requirements are made for CUDA 13, and this machine's driver 535.129.03 is too "
                    "old for it",
                    "Install driver 580 or later, or packages for CUDA 12, such as those of an index of "
                    "torch's for it.",
                )
            ],
        ),
        (
            "390.157",
            "torch==2.6.0+cu124\n",
            [
                (
                    "the requirements are made for CUDA 12, and this machine's driver 390.157 is too "
                    "old for it",
                    "Install driver 525 or later.",
                )
            ],
        ),
    ],
)
def test_a_driver_that_is_too_old(
    programs: Path, driver: str, lock: str, expected: list[tuple[str, str]]
) -> None:
    has_driver(programs, driver)
    assert [(problem.message, problem.hint) for problem in driver_problems(lock)] == expected


def test_what_does_not_answer_is_not_too_old(programs: Path) -> None:
    assert list(driver_problems("torch==2.6.0+cu124\n")) == []
    program(programs / "nvidia-smi", "echo 'Failed to initialize NVML'; exit 18")
    assert list(driver_problems("torch==2.6.0+cu124\n")) == []


def test_the_toolkit_is_found_wherever_docker_finds_it(programs: Path) -> None:
    [problem] = toolkit_problems(DOCKER)
    assert problem.message == (
        "Docker cannot give GPUs to a container here: NVIDIA's container toolkit is missing"
    )
    assert "nvidia-ctk runtime configure" in problem.hint
    assert not list(toolkit_problems({**DOCKER, "Runtimes": {"runc": {}, "nvidia": {}}}))
    devices = [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]
    assert not list(toolkit_problems({**DOCKER, "DiscoveredDevices": devices}))
    assert list(toolkit_problems({**DOCKER, "DiscoveredDevices": [{"Source": "cdi", "ID": "a.b/c=0"}]}))
    program(programs / HOOK, "exit 0")
    assert not list(toolkit_problems(DOCKER))


def test_a_disk_that_is_nearly_full() -> None:
    assert not list(room_problems(DOCKER, 1))
    [problem] = room_problems(DOCKER, 10**18)
    assert problem.message.endswith(" GB left at /, and this image needs 1000000000.0")
    assert "`bench server gc`" in problem.hint
    assert not list(room_problems({**DOCKER, "DockerRootDir": "/no/such/folder"}, 10**18))


def test_torch_with_cuda_needs_more_room() -> None:
    lock = "torch==2.6.0+cu124\n"
    assert room_for(["torch", "Bench"], lock) == ROOM_BYTES + CUDA_BYTES
    assert room_for(["Bench"], lock) == ROOM_BYTES
    assert room_for(["torch", "Bench"], "torch==2.6.0+cpu\n") == ROOM_BYTES


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageRig]:
    made = ImageRig(tmp_path_factory.mktemp("images"))
    wheels = made.state / "wheels"
    make_wheel(wheels, "nvidia-cuda-runtime", "13.0.96")
    made.environment["UV_FIND_LINKS"] = str(wheels)
    yield made
    made.close()


@pytest.mark.needs("dockerd")
def test_nothing_is_made_for_gpus_that_no_container_can_have(rig: ImageRig, programs: Path) -> None:
    has_driver(programs, "535.129.03")
    with pytest.raises(ImageError) as caught:
        rig.build(lock="nvidia-cuda-runtime==13.0.96\n", gpu_count=1)
    assert caught.value.message == (
        "Docker cannot give GPUs to a container here: NVIDIA's container toolkit is missing; "
        "the requirements are made for CUDA 13, and this machine's driver 535.129.03 is too old for it"
    )
    assert caught.value.hint is not None
    assert "restart Docker. Install driver 580 or later" in caught.value.hint
    assert (rig.output, rig.layers(), rig.containers()) == ([], [], [])


@pytest.mark.needs("dockerd")
def test_a_driver_that_is_too_old_ends_a_build_before_the_packages_come(
    rig: ImageRig, programs: Path
) -> None:
    has_driver(programs, "535.129.03")
    program(programs / HOOK, "exit 0")
    with pytest.raises(ImageError, match=r"driver 535\.129\.03 is too old"):
        rig.build("nvidia-cuda-runtime==13.0.96", gpu_count=1)
    assert rig.steps() == ["system packages", "find versions", "find versions for the agent"]
    assert rig.containers() == []
    has_driver(programs, "580.95.05")
    assert "nvidia-cuda-runtime==13.0.96" in rig.build("nvidia-cuda-runtime==13.0.96", gpu_count=1).lock


@pytest.mark.needs("dockerd")
def test_nothing_is_made_on_a_disk_that_is_nearly_full(
    rig: ImageRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = SimpleNamespace(free=1_000_000_000)
    monkeypatch.setattr("bench_deploy.image.preflight.shutil.disk_usage", lambda place: full)
    before = rig.layers()
    with pytest.raises(ImageError, match=r"Docker's disk has 1\.0 GB left at .*, and this image needs 2\.0"):
        rig.build("tiny-unheard-of")
    assert (rig.output, rig.layers(), rig.containers()) == ([], before, [])
