"""A rank of a training whose model is spread over ranks: python spread_script.py RANK WORLD FOLDER WHAT."""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import bench_track
import torch
import torch.distributed as dist
from bench_track import CheckpointError, Run
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.tensor import Shard, distribute_tensor

FULL = StateDictOptions(full_state_dict=True, cpu_offload=True)


def refused(save: Callable[[], None]) -> str:
    try:
        save()
    except CheckpointError as error:
        return f"{error.message}; {error.hint}"
    return "taken"


def refusals(run: Run, world: int) -> None:
    """Print what each kind of state is refused with."""
    model = torch.nn.Linear(4, 4)
    fully_shard(model, mesh=init_device_mesh("cpu", (world,)))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    older = FullyShardedDataParallel(torch.nn.Linear(4, 4), device_id=torch.device("cpu"))
    loose = distribute_tensor(torch.ones(4, 4), init_device_mesh("cpu", (world,)), [Shard(0)])
    states: dict[str, dict[str, Any]] = {
        "module": {"model": model},
        "optimizer": {"optimizer": optimizer},
        "its state": {"optimizer": optimizer.state_dict()},
        "tensor": {"ema": [{"weight": loose}]},
        "older": {"model": older},
    }
    for name, state in states.items():
        print(name, "every", refused(partial(run.checkpoint, state, step=1, every=10)))
    for name in ("module", "optimizer", "its state", "tensor"):
        print(name, "alone", refused(partial(run.checkpoint, states[name], step=10)))


def train(run: Run, world: int) -> None:
    """As the hint says, to the step that SIGTERM comes at, which only rank 0 gets."""
    model = torch.nn.Linear(4, 4)
    fully_shard(model, mesh=init_device_mesh("cpu", (world,)))
    for step in range(1, 1_000_000):
        stops = torch.tensor(int(run.is_stopping))
        dist.all_reduce(stops)
        if step % 1000 == 0 or stops:
            run.checkpoint({"model": get_model_state_dict(model, options=FULL)}, step=step)
        if stops:
            print("ends at", step, flush=True)
            return
        if step == 3:
            print("up", flush=True)
        time.sleep(0.01)


def main() -> None:
    rank, world, folder, what = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world)
    os.environ["BENCH_TRACK"], os.environ["BENCH_OUTPUT"] = str(folder / "track"), str(folder / "output")
    run = bench_track.init(rank=rank)
    {"refusals": refusals, "train": train}[what](run, world)


if __name__ == "__main__":
    main()
