"""What is spread over ranks, by real torch.distributed: refused where a rank would be left to wait."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from bench_track.checkpoints import Checkpoints

SCRIPT = Path(__file__).with_name("spread_script.py")


def begin(folder: Path, rank: int, world: int, what: str) -> "subprocess.Popen[str]":
    words = [sys.executable, str(SCRIPT), str(rank), str(world), str(folder), what]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("world", [1, 2])
def test_all_ranks_refuse_it(tmp_path: Path, world: int) -> None:
    ranks = [begin(tmp_path, rank, world, "refusals") for rank in range(world)]
    for training in ranks:
        out, errors = training.communicate(timeout=300)
        assert training.returncode == 0, errors[-3000:]
        said = dict(line.split(" is spread over ranks", 1) for line in out.splitlines())
        assert list(said) == [
            "module every model.weight",
            "optimizer every optimizer.0.params.0",
            "its state every optimizer.state.0.exp_avg",
            "tensor every ema.0.weight",
            "older every model",
            "module alone model.weight",
            "optimizer alone optimizer.state.0.exp_avg",
            "its state alone optimizer.state.0.exp_avg",
            "tensor alone ema.0.weight",
        ]
        for name, why in said.items():
            assert ("forever" if "every" in name else "its own piece") in why
            assert "all-reduce run.is_stopping" in why
    assert not (tmp_path / "output").exists()


def test_as_the_hint_says_all_end_at_the_step_of_the_signal(tmp_path: Path) -> None:
    ranks = [begin(tmp_path, rank, 2, "train") for rank in range(2)]
    try:
        for training in ranks:
            assert training.stdout is not None
            assert training.stdout.readline() == "up\n", training.communicate(timeout=60)[1][-3000:]
        ranks[0].send_signal(signal.SIGTERM)
        (_, errors), (out, _) = (training.communicate(timeout=120) for training in ranks)
    finally:
        for training in ranks:
            training.kill()
    assert [training.returncode for training in ranks] == [143, 0], errors[-3000:]
    newest = Checkpoints(tmp_path / "output" / "checkpoints").newest()
    assert newest is not None
    assert out == f"ends at {newest.step}\n"
    assert torch.load(newest.path)["model"]["weight"].shape == (4, 4)
