"""GPUs are read from what nvidia-smi prints: here a program of that name prints it."""

from pathlib import Path

import pytest
from bench_deploy.engine import gpus
from bench_deploy.engine.gpus import Gpu, driver_version, gpu_problem, list_gpus, used_gpus

FIRST, SECOND = "GPU-8f6b2c1e-0d3a-4f57-9b1c-2a6d7e8f9a0b", "GPU-11111111-2222-3333-4444-555555555555"


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "nvidia-smi"


def says(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_gpus_and_who_uses_them(nvidia_smi: Path) -> None:
    says(
        nvidia_smi,
        f"""[ "$2" = --format=csv,noheader ] || exit 2
case $1 in
--query-gpu=uuid,name,memory.total)
    echo '{FIRST}, NVIDIA H100 80GB HBM3, 81559 MiB'
    echo '{SECOND}, NVIDIA GB10, [N/A]' ;;
--query-gpu=uuid) echo '{FIRST}' ;;
--query-gpu=driver_version)
    echo 580.95.05
    echo 580.95.05 ;;
--query-compute-apps=gpu_uuid,pid)
    echo '{FIRST}, 4711'
    echo '{FIRST}, 4712'
    echo '{SECOND}, [N/A]' ;;
esac""",
    )
    assert list_gpus() == [
        Gpu(uuid=FIRST, name="NVIDIA H100 80GB HBM3", memory_bytes=81559 << 20),
        Gpu(uuid=SECOND, name="NVIDIA GB10", memory_bytes=0),
    ]
    assert used_gpus() == {FIRST: [4711, 4712]}
    assert gpu_problem() == ""
    assert driver_version() == "580.95.05"


def test_no_gpu_is_used(nvidia_smi: Path) -> None:
    says(nvidia_smi, "exit 0")
    assert used_gpus() == {}
    assert gpu_problem() == "nvidia-smi lists no GPU"


def test_a_driver_that_is_broken(nvidia_smi: Path) -> None:
    says(nvidia_smi, "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    assert (list_gpus(), used_gpus()) == ([], {})
    assert gpu_problem() == "nvidia-smi says: Failed to initialize NVML: Driver/library version mismatch"


def test_a_driver_that_hangs(nvidia_smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "ANSWER_SECONDS", 0.2)
    says(nvidia_smi, "exec sleep 60")
    assert (list_gpus(), used_gpus()) == ([], {})
    assert gpu_problem().startswith("nvidia-smi did not answer")


def test_no_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (list_gpus(), used_gpus(), driver_version()) == ([], {}, "")
    assert gpu_problem() == "nvidia-smi is not installed, so there is no NVIDIA driver"
