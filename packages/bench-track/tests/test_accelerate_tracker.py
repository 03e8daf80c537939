"""The tracker under a real Accelerator."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import accelerate.tracking
import bench_track
import pytest
import torch
from accelerate import Accelerator
from adapter_tools import clean, end, example, root, run_script, runs, said, series, spool
from bench_track.accelerate import BenchTracker
from bench_track.errors import ValueLogError
from spool_reading import media, notes
from torch.utils.data import DataLoader, TensorDataset

__all__ = ["clean", "root", "spool"]  # fixtures


def train(accelerator: Accelerator, fail_at: int = -1) -> list[float]:
    """Fit a line; the losses that were logged."""
    x = torch.arange(6.0)[:, None] / 6
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = DataLoader(TensorDataset(x, 2 * x), batch_size=2)
    model, optimizer, batches = accelerator.prepare(model, optimizer, batches)
    losses: list[float] = []
    for step, (inputs, targets) in enumerate(batches):
        if step == fail_at:
            raise ValueError("no")
        loss = torch.nn.functional.mse_loss(model(inputs), targets)
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        accelerator.log({"train/loss": loss.detach(), "lr": {"group 0": 0.1}}, step=step)
    return losses


def test_a_training(root: Path) -> None:
    accelerator = Accelerator(cpu=True, log_with=BenchTracker("lines", tags=["a"]))
    assert not root.exists()
    accelerator.init_trackers("lines", config={"lr": 0.1, "deep": {"seed": 1}})
    run = accelerator.get_tracker("bench", unwrap=True)
    assert isinstance(run, bench_track.Run)
    losses = train(accelerator)
    (folder,) = runs(root)
    assert end(folder) is None
    accelerator.end_training()
    assert (said(folder)["group"], said(folder)["tags"]) == ("lines", ["a"])
    assert notes(folder, "config") == [{"values": {"lr": 0.1, "deep": {"seed": 1}}}]
    assert series(folder) == {
        "train/loss": list(enumerate(losses)),
        "lr/group 0": [(0, 0.1), (1, 0.1), (2, 0.1)],
    }
    assert end(folder) == ("succeeded", None)


@pytest.fixture
def registered() -> Iterator[None]:
    accelerate.tracking.register_tracker_class(BenchTracker)
    yield
    del accelerate.tracking.LOGGER_TYPE_TO_CLASS["bench"]


@pytest.mark.usefixtures("registered")
def test_by_its_name(root: Path) -> None:
    accelerator = Accelerator(cpu=True, log_with="bench")
    accelerator.init_trackers("lines", init_kwargs={"bench": {"tags": ["b"]}})
    accelerator.log({"a": 1.0})
    accelerator.end_training()
    (folder,) = runs(root)
    assert (said(folder)["group"], said(folder)["tags"]) == ("lines", ["b"])
    assert series(folder) == {"a": [(0, 1.0)]}


def test_a_training_that_fails_and_the_next_one(root: Path) -> None:
    def fail() -> None:
        accelerator = Accelerator(cpu=True, log_with=BenchTracker())
        accelerator.init_trackers("lines")
        try:
            train(accelerator, fail_at=1)
        finally:
            accelerator.end_training()

    with pytest.raises(ValueError, match="no"):
        fail()
    accelerator = Accelerator(cpu=True, log_with=BenchTracker())
    accelerator.init_trackers("lines")
    train(accelerator)
    first, second = runs(root)
    assert (end(first), end(second)) == (("failed", "ValueError: no"), None)
    assert [len(series(folder)["train/loss"]) for folder in (first, second)] == [1, 3]


def test_the_scripts_own_run_goes_on(root: Path) -> None:
    with bench_track.init() as run:
        accelerator = Accelerator(cpu=True, log_with=BenchTracker(run=run))
        accelerator.init_trackers("lines")
        accelerator.log({"a": 1.0}, step=3)
        accelerator.end_training()
        run.log({"a": 2.0})
    (folder,) = runs(root)
    assert series(folder) == {"a": [(3, 1.0), (4, 2.0)]}


def test_what_it_logs(spool: Path) -> None:
    tracker = BenchTracker()
    assert tracker.tracker is None
    tracker.start()
    values = {"a": torch.tensor(0.5), "curve": torch.zeros(3), "note": "text"}
    with pytest.warns(UserWarning, match="'curve' is left out: a Tensor"):
        tracker.log(values, 0)
    tracker.log(values, 1)  # and not again
    tracker.log({"b": 1.0, **values, "c": 2.0})
    with pytest.raises(ValueLogError, match="step"):
        tracker.log({"a": 1.0}, step=-1)
    assert series(spool) == {"a": [(0, 0.5), (1, 0.5), (2, 0.5)], "b": [(2, 1.0)], "c": [(2, 2.0)]}
    assert [(record.step, record.content) for record in media(spool)] == [(n, b"text") for n in range(3)]


SCRIPT = """
from accelerate import Accelerator
from bench_track.accelerate import BenchTracker

tracker = BenchTracker()
accelerator = Accelerator(cpu=True, log_with=tracker)
accelerator.init_trackers("lines", config={"lr": 1})
for step in range(2):
    accelerator.log({"rank": accelerator.process_index}, step=step)
tracker.start()
tracker.store_init_configuration({"rank": accelerator.process_index})
tracker.log({"rank": accelerator.process_index}, step=2)
print("process", accelerator.process_index, "of", accelerator.num_processes, tracker.tracker is None)
accelerator.end_training()
"""


def test_only_the_main_process_logs(root: Path, tmp_path: Path) -> None:
    printed = run_script(SCRIPT, tmp_path, ranks=2)
    assert "process 0 of 2 False" in printed
    assert "process 1 of 2 True" in printed
    (folder,) = runs(root)
    assert len(list(folder.glob("*.records"))) == 1
    assert series(folder) == {"rank": [(0, 0), (1, 0), (2, 0)]}
    assert notes(folder, "config") == [{"values": {"lr": 1}}, {"values": {"rank": 0}}]
    assert end(folder) == ("succeeded", None)


def test_the_readmes_example(root: Path) -> None:
    names: dict[str, Any] = {}
    exec(example("bench_track.accelerate"), names)
    (folder,) = runs(root)
    assert len(series(folder)["train/loss"]) == 100
    assert end(folder) == ("succeeded", None)
