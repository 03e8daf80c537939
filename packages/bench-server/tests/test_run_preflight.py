"""A run with a GPU on a machine whose driver a program of the test's own says there is."""

import os
from collections.abc import Iterator

import bench_auth
import pytest
from bench_protos.runs.v1 import runs_pb2 as pb
from matrix_tools import own_images
from runner_tools import Runs, running

pytestmark = pytest.mark.needs("dockerd")

NVIDIA_SMI = """#!/bin/sh
case $1 in
--query-gpu=uuid,name,memory.total) echo 'GPU-8f6b2c1e-0d3a-4f57-9b1c-2a6d7e8f9a0b, NVIDIA T4, 15360 MiB' ;;
--query-gpu=driver_version) echo 390.157 ;;
esac
"""


@pytest.fixture
def runs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("server")
    program = folder / "programs" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(NVIDIA_SMI)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with own_images(folder / "data"), running(folder, "docker") as found:
        yield found


def test_a_gpu_that_no_container_can_have_is_said_before_a_build(runs: Runs) -> None:
    run = runs.submit("", gpu_count=1, lock="torch==2.6.0+cu124\n", retry_count=1)
    attempt = runs.wait(run)
    assert (attempt.state, attempt.reason) == (pb.RUN_STATE_FAILED, "image_failed")
    assert attempt.message.startswith(
        "Docker cannot give GPUs to a container here: NVIDIA's container toolkit is missing; the "
        "requirements are made for CUDA 12, and this machine's driver 390.157 is too old for it. Install "
    )
    assert len(runs.get(run).attempts) == 1
    assert b"== " not in runs.log(run, pb.LOG_SOURCE_BUILD)
    with pytest.raises(bench_auth.AuthError, match="2 GPUs are asked for, and this machine has 1"):
        runs.submit("", gpu_count=2)
