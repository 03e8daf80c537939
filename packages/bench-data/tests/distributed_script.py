"""Trains with two ranks under torchrun, and writes down which samples each rank was given.

Usage: distributed_script.py WAY ROOT OUT, where WAY is ddp, lightning or accelerate.
"""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from bench_data import ChunkDataset, ChunkLoader, loader
from torch import nn
from torch.nn.parallel import DistributedDataParallel

EPOCHS = (0, 1)
BATCH = 4


def make_loader(root: str, workers: int = 2) -> ChunkLoader:
    return loader(ChunkDataset("numbers", root=root), batch_size=BATCH, seed=3, num_workers=workers)


def train(model: nn.Module, dl: Any) -> list[list[list[int]]]:
    """Ranks wait for each other in every backward pass, so an uneven number of steps would hang."""
    seen: list[list[list[int]]] = []
    for epoch in EPOCHS:
        dl.set_epoch(epoch)
        seen.append([])
        for batch in dl:
            model(batch.float()[:, None]).sum().backward()
            seen[-1].append(batch.tolist())
    return seen


def ddp(root: str) -> list[list[list[int]]]:
    """Two epochs; then what one process yields of epoch 1 in five steps, and the rest of it by both ranks."""
    torch.distributed.init_process_group("gloo")
    model, dl = DistributedDataParallel(nn.Linear(1, 1)), make_loader(root)
    seen = train(model, dl)
    single = loader(ChunkDataset("numbers", root=root), batch_size=BATCH, seed=3, rank=0, world_size=1)
    single.set_epoch(1)
    seen.append([batch.tolist() for _, batch in zip(range(5), single, strict=False)])
    dl = make_loader(root)
    dl.load_state_dict(single.state_dict())
    seen.append([batch.tolist() for batch in dl])
    torch.distributed.destroy_process_group()
    return seen


def lightning(root: str) -> list[list[list[int]]]:
    import lightning as L

    seen: list[list[list[int]]] = [[] for _ in EPOCHS]

    class Model(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(1, 1)

        def training_step(self, batch: torch.Tensor, number: int) -> torch.Tensor:
            seen[self.current_epoch].append(batch.tolist())
            loss: torch.Tensor = self.layer(batch.float()[:, None]).sum()
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 1e-6)

    trainer = L.Trainer(
        max_epochs=len(EPOCHS),
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Model(), make_loader(root))
    return seen


def accelerate(root: str) -> list[list[list[int]]]:
    """Two epochs; then five steps of epoch 1, and the rest of it by Accelerate's own way back."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model, dl = accelerator.prepare(nn.Linear(1, 1), make_loader(root))
    seen = train(model, dl)
    again = accelerator.prepare(make_loader(root))
    again.set_epoch(1)
    seen.append([batch.tolist() for _, batch in zip(range(5), again, strict=False)])
    again = accelerator.prepare(make_loader(root))
    again.set_epoch(1)
    seen.append([batch.tolist() for batch in accelerator.skip_first_batches(again, 5)])
    accelerator.end_training()
    return seen


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message=".*multi-threaded")
    way, root, out = sys.argv[1:]
    found = {"ddp": ddp, "lightning": lightning, "accelerate": accelerate}[way](root)
    Path(out, f"{os.environ['RANK']}.json").write_text(json.dumps(found))
