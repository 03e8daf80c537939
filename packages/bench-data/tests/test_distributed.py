"""Two real ranks: each sample once an epoch, however the script is made parallel."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from bench_data import ChunkDataset, WriteOptions, loader, write_chunks
from data_samples import Labels

COUNT = 37  # 4 steps of 2 ranks of 4, and 5 samples more
SCRIPT = Path(__file__).with_name("distributed_script.py")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("datasets")
    write_chunks(Labels(range(COUNT)), "numbers", root=root, options=WriteOptions(workers=1, durable=False))
    return root


def run_two_ranks(way: str, root: Path, out: Path) -> list[Any]:
    """What each rank saw: for each epoch its batches."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, str(SCRIPT), way, str(root), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return [json.loads((out / f"{rank}.json").read_text()) for rank in (0, 1)]


def order_of(root: Path, epoch: int) -> list[int]:
    dl = loader(ChunkDataset("numbers", root=root), batch_size=COUNT, seed=3)
    dl.set_epoch(epoch)
    return list(next(iter(dl)).tolist())


def joined(ranks: list[Any], epoch: int) -> list[int]:
    return [n for step in zip(*(seen[epoch] for seen in ranks), strict=True) for batch in step for n in batch]


@pytest.mark.parametrize("way", ["ddp", "lightning"])
def test_two_ranks_share_an_epoch(way: str, root: Path, tmp_path: Path) -> None:
    ranks = run_two_ranks(way, root, tmp_path)
    for epoch in (0, 1):
        found, whole = joined(ranks, epoch), order_of(root, epoch)
        assert found[:COUNT] == whole
        assert found[COUNT:] == whole[:1], "one sample twice, so that both ranks have as many"
    if way == "ddp":
        rest = [n for batch in ranks[0][2] for n in batch] + joined(ranks, 3)
        assert rest[:COUNT] == order_of(root, 1), "one rank's state goes on with two"
        assert len(rest) == COUNT + 1


def test_accelerate_shards_once(root: Path, tmp_path: Path) -> None:
    """Accelerate deals out batches of the same order, and fills the last step as for any loader."""
    ranks = run_two_ranks("accelerate", root, tmp_path)
    for epoch in (0, 1):
        found, whole = joined(ranks, epoch), order_of(root, epoch)
        assert found[:COUNT] == whole
        assert len(ranks[0][epoch]) == len(ranks[1][epoch]) == 5
        assert set(Counter(found).values()) <= {1, 2}
    for seen in ranks:
        assert seen[2] + seen[3] == seen[1], "skip_first_batches goes on from there"
