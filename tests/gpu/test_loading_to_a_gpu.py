"""Batches on their way into a GPU: `./run gpu`, where there is one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bench_data import ChunkDataset, ProcessorDataset, WriteOptions, loader, write_chunks


class Rows(ProcessorDataset):
    """Rows of numbers that say where they are from."""

    def __len__(self) -> int:
        return 5_000

    def get_label_and_numeric_data(self, item: int) -> Any:
        return item, np.full(256, item, np.float32)


@pytest.mark.parametrize("workers", [0, 2])
def test_pinned_batches_arrive_whole(tmp_path: Path, workers: int) -> None:
    write_chunks(Rows(), "train", root=tmp_path, options=WriteOptions(workers=1, chunk_bytes=1 << 20))
    batches = loader(
        ChunkDataset("train", root=tmp_path), batch_size=64, num_workers=workers, pin_memory=True
    )
    seen = []
    for numbers, rows in batches:
        assert numbers.is_pinned()
        assert rows.is_pinned()
        on_gpu, there = rows.cuda(non_blocking=True), numbers.cuda(non_blocking=True)
        assert bool((on_gpu == there[:, None]).all())
        seen += numbers.tolist()
    assert sorted(seen) == list(range(5_000))


def test_a_state_with_cuda_tensors_is_loaded_again(tmp_path: Path) -> None:
    write_chunks(Rows(), "train", root=tmp_path, options=WriteOptions(workers=1, chunk_bytes=1 << 20))
    batches = loader(ChunkDataset("train", root=tmp_path), batch_size=64)
    model = torch.nn.Linear(256, 1).cuda()
    for step, _ in enumerate(batches):
        if step == 9:
            break
    torch.save({"model": model.state_dict(), "loader": batches.state_dict()}, tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    again = loader(ChunkDataset("train", root=tmp_path), batch_size=64)
    again.load_state_dict(state["loader"])
    assert len(list(again)) == len(batches) - 10
    assert all(value.is_cuda for value in state["model"].values())
