"""Runs that get GPUs, with NVIDIA's driver and the process engine: `./run gpu`, where there is one."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from bench_deploy.engine.gpus import gpu_problem, list_gpus, used_gpus
from bench_protos.runs.v1 import runs_pb2 as pb
from runner_tools import Runs, running

SHOW = """
import os
import torch
print(os.environ["CUDA_VISIBLE_DEVICES"], torch.cuda.device_count(), flush=True)
"""

HOLD = "import torch, time; x = torch.ones(1, device='cuda'); print('held', flush=True); time.sleep(600)"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    with running(tmp_path_factory.mktemp("g"), "process") as made:
        yield made


def test_the_driver_is_understood() -> None:
    assert gpu_problem() == ""
    for gpu in list_gpus():
        assert gpu.uuid.startswith("GPU-")
        assert gpu.memory_bytes > 1 << 30


def test_a_run_sees_the_gpus_that_it_asked_for(runs: Runs) -> None:
    run = runs.submit(SHOW, gpu_count=1)
    assert runs.wait(run).state == pb.RUN_STATE_SUCCEEDED, runs.log(run)
    assert runs.log(run).decode().split() == [list_gpus()[0].uuid, "1"]


def test_a_run_that_asked_for_none_sees_none(runs: Runs) -> None:
    run = runs.submit(SHOW)
    assert runs.wait(run).state == pb.RUN_STATE_SUCCEEDED, runs.log(run)
    assert runs.log(run).decode().split() == ["0"]


def test_more_than_there_are_is_refused(runs: Runs) -> None:
    count = len(list_gpus())
    with pytest.raises(Exception, match=f"this machine has {count}"):
        runs.submit(SHOW, gpu_count=count + 1)


def test_a_gpu_is_given_once(runs: Runs) -> None:
    count = len(list_gpus())
    first = runs.submit(HOLD, gpu_count=count)
    runs.wait_for_log(first, b"held")
    second = runs.submit(SHOW, gpu_count=1)
    wait_until_it_waits_for(runs, second, "GPU")
    runs.stop(first)
    assert runs.wait(second).state == pb.RUN_STATE_SUCCEEDED


def test_a_gpu_that_somebody_else_uses_is_not_given(runs: Runs) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        gpu = list_gpus()[0].uuid
        assert other.pid in used_gpus()[gpu]
        run = runs.submit(SHOW, gpu_count=len(list_gpus()))
        wait_until_it_waits_for(runs, run, "GPU")
        other.kill()
    assert runs.wait(run).state == pb.RUN_STATE_SUCCEEDED


def test_torchrun_starts_a_process_for_each_gpu(runs: Runs) -> None:
    script = """
import os
import torch
import torch.distributed as dist
dist.init_process_group("nccl")
total = torch.ones(1, device=f"cuda:{os.environ['LOCAL_RANK']}")
dist.all_reduce(total)
if dist.get_rank() == 0:
    print(int(total), flush=True)
dist.destroy_process_group()
"""
    count = len(list_gpus())
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    run = runs.submit(script, command=[*torchrun, "train.py"], gpu_count=count)
    assert runs.wait(run).state == pb.RUN_STATE_SUCCEEDED, runs.log(run)
    assert runs.log(run).decode().split()[-1] == str(count)


def wait_until_it_waits_for(runs: Runs, run: str, what: str) -> None:
    deadline = time.monotonic() + 60
    while what not in runs.last(run).waiting_for:
        assert time.monotonic() < deadline, runs.last(run)
        time.sleep(0.2)
