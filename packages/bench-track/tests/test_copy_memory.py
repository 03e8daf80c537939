"""The memory of a checkpoint's copy serves the next one, and no two at once."""

from pathlib import Path
from typing import Any

import bench_track
import psutil
import pytest
import torch
from bench_track.checkpoints import Checkpoints
from bench_track.copy_memory import CopyMemory
from bench_track.keeping import Keeping

MANY = 64 << 20
"""Values; their bytes are beyond what an allocator keeps."""


def take(memory: CopyMemory, *sizes: int) -> list[int]:
    """Where the pieces for a copy are."""
    memory.begin()
    return [memory.take(torch, size).data_ptr() for size in sizes]


def test_the_next_copy_is_made_in_the_same_memory() -> None:
    memory = CopyMemory()
    first = take(memory, 1000, 1000, 5000)
    assert len(set(first)) == 3
    assert set(take(memory, 5000, 1000, 1000)) == set(first)
    assert take(memory, 5000) == [first[2]]


def test_what_a_copy_did_not_need_is_given_back() -> None:
    memory = CopyMemory()
    memory.begin()
    memory.take(torch, MANY).fill_(1)
    take(memory, 1000)
    before = rss()
    memory.begin()
    assert rss() < before - MANY * 3 // 4


def test_every_checkpoint_has_its_own_values(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keeping=Keeping(last=5))
    weight = torch.empty(100_000)
    for step in range(5):
        weight.fill_(step)
        checkpoints.save({"weight": weight, "others": [weight + 1, weight + 2]}, step=step)
    checkpoints.wait()
    for step in range(5):
        state = loaded(tmp_path, step)
        assert [found.unique().tolist() for found in (state["weight"], *state["others"])] == [
            [step],
            [step + 1],
            [step + 2],
        ]


class SavesAsWell:
    """Saves while it is saved, as the handler of a signal might."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints

    def __reduce__(self) -> Any:
        self.checkpoints.save({"weight": torch.full((1000,), 2.0)}, step=2)
        return (dict, ())


def test_a_checkpoint_within_another_leaves_that_its_memory(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keeping=Keeping(last=5))
    checkpoints.save({"weight": torch.zeros(1000)}, step=0)
    checkpoints.save({"weight": torch.ones(1000), "within": SavesAsWell(checkpoints)}, step=1)
    checkpoints.wait()
    assert loaded(tmp_path, 1)["weight"].unique().tolist() == [1.0]


def test_it_is_kept_until_it_is_given_back(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    state = {"weight": torch.ones(MANY // 4)}
    before = rss()
    checkpoints.save(state, step=1)
    checkpoints.wait()
    assert rss() > before + MANY * 3 // 4
    checkpoints.free_memory()
    assert rss() < before + MANY // 4


def test_a_run_that_is_finished_keeps_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_TRACK_ROOT", str(tmp_path))
    run = bench_track.init(project="p")
    state = {"weight": torch.ones(MANY // 4)}
    before = rss()
    run.checkpoint(state, step=1)
    run.finish()
    assert rss() < before + MANY // 4


def rss() -> int:
    return int(psutil.Process().memory_info().rss)


def loaded(root: Path, step: int) -> Any:
    return torch.load(root / f"step-{step:09}" / "state.pt", weights_only=True)
