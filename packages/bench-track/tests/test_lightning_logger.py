"""The logger under a real Trainer."""

import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bench_track
import pytest
import torch
from adapter_tools import clean, end, example, root, run_script, runs, said, series, spool
from bench_track.lightning import BenchLogger
from lightning import LightningModule
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.loggers import Logger
from spool_reading import media, notes
from torch.utils.data import DataLoader, TensorDataset

__all__ = ["clean", "root", "spool"]  # fixtures

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no"),
]


class Line(LightningModule):
    """Fits a line, and keeps what it told the logger."""

    def __init__(self, lr: float = 0.1, fail_at: int = -1, error: type[BaseException] = ValueError) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(1, 1)
        self.losses: list[float] = []
        self.error = error

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        if self.global_step == self.hparams["fail_at"]:
            raise self.error("no")
        x, y = batch
        loss = torch.nn.functional.mse_loss(self.layer(x), y)
        self.losses.append(loss.item())
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("valid/loss", torch.tensor(0.25))

    def test_step(self, batch: Any, index: int) -> None:
        self.log("test/loss", torch.tensor(0.125))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.hparams["lr"])


def batches() -> DataLoader[Any]:
    x = torch.arange(6.0)[:, None] / 6
    return DataLoader(TensorDataset(x, 2 * x), batch_size=2)


def trainer(logger: Logger, **more: Any) -> Trainer:
    return Trainer(
        logger=logger,
        accelerator="cpu",
        devices=1,
        max_epochs=2,
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        **more,
    )


def test_a_training_and_its_test(root: Path) -> None:
    seed_everything(0, verbose=False)
    logger, model = BenchLogger("lines", tags=["a"]), Line()
    assert not root.exists()
    training = trainer(logger)
    training.fit(model, batches(), batches())
    (folder,) = runs(root)
    assert (said(folder)["group"], said(folder)["tags"]) == ("lines", ["a"])
    assert (logger.name, logger.version) == ("lines", folder.name)
    assert isinstance(logger.experiment, bench_track.Run)
    found = series(folder)
    assert found["train/loss"] == [(step, loss) for step, loss in enumerate(model.losses)]
    assert found["valid/loss"] == [(2, 0.25), (5, 0.25)]
    assert found["epoch"] == [(0, 0), (1, 0), (2, 0), (2, 0), (3, 1), (4, 1), (5, 1), (5, 1)]
    assert notes(folder, "config") == [
        {"values": {"lr": 0.1, "fail_at": -1, "error": "<class 'ValueError'>"}}
    ]
    assert list(Path("lightning_logs").glob("*")) == []
    assert len(list(Path("lines", folder.name, "checkpoints").glob("*.ckpt"))) == 1
    training.test(model, batches(), verbose=False)
    assert series(folder)["test/loss"] == [(6, 0.125)]
    assert end(folder) is None, "the end of the script is that of the run"


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Lightning ignores Ctrl-C once it was interrupted."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize(
    ("error", "leaves", "state"),
    [
        (ValueError, ValueError, ("failed", "ValueError: no")),
        (KeyboardInterrupt, SystemExit, ("stopped", None)),
    ],
)
def test_each_training_is_a_run(root: Path, error: Any, leaves: Any, state: tuple[str, str | None]) -> None:
    with pytest.raises(leaves):
        trainer(BenchLogger()).fit(Line(fail_at=2, error=error), batches())
    assert [end(folder) for folder in runs(root)] == [state]
    for rate in (0.1, 0.2):
        trainer(BenchLogger()).fit(Line(lr=rate), batches())
    folders = runs(root)
    assert [end(folder) for folder in folders] == [state, ("succeeded", None), None]
    assert [len(series(folder)["train/loss"]) for folder in folders] == [2, 6, 6]


def test_the_scripts_own_run_goes_on(root: Path) -> None:
    with bench_track.init() as run:
        with pytest.raises(ValueError, match="no"):
            trainer(BenchLogger(run=run)).fit(Line(fail_at=1), batches())
        assert not run.is_finished
    assert [end(folder) for folder in runs(root)] == [("succeeded", None)]


def test_in_a_servers_run_checkpoints_are_kept(spool: Path, tmp_path: Path) -> None:
    logger = BenchLogger()
    trainer(logger, limit_train_batches=1).fit(Line(), batches())
    folder = tmp_path / "output" / "bench" / logger.version / "checkpoints"
    assert logger.version == os.environ["BENCH_RUN"]
    assert len(list(folder.glob("*.ckpt"))) == 1
    assert [step for step, _ in series(spool)["train/loss"]] == [0, 1]


def test_what_it_logs_itself(spool: Path) -> None:
    logger = BenchLogger()
    with pytest.warns(UserWarning, match="'none' is left out: a NoneType"):
        logger.log_metrics({"a": 1.0, "none": None, "note": "text"})
    logger.log_hyperparams({"deep": {"lr": 1}}, {"hp_metric": -1})
    logger.log_hyperparams(None)
    assert [value for _, value in series(spool)["a"]] == [1.0]
    assert [record.content for record in media(spool)] == [b"text"]
    assert notes(spool, "config") == [{"values": {"deep": {"lr": 1}}}]


def test_it_crosses_to_a_spawned_process(spool: Path) -> None:
    logger = BenchLogger("lines")
    assert pickle.loads(pickle.dumps(logger)).version == logger.version


SCRIPT = """
import sys, warnings
{before}
warnings.simplefilter("ignore")
import torch
from {library} import LightningModule, Trainer
from bench_track.lightning import BenchLogger, Logger
from torch.utils.data import DataLoader, TensorDataset

class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, index):
        loss = self.layer(batch[0]).mean()
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

logger = BenchLogger()
trainer = Trainer(
    logger=logger, accelerator="cpu", devices={ranks}, strategy="{strategy}", max_steps=2,
    log_every_n_steps=1, enable_progress_bar=False, enable_model_summary=False,
    enable_checkpointing=False,
)
trainer.fit(Model(), DataLoader(TensorDataset(torch.ones(8, 1)), batch_size=2))
logger.experiment.log({{"rank": trainer.global_rank}}, step=9)
print("base", Logger.__module__, "version", repr(logger.version)[:3])
"""


def test_only_rank_0_logs(root: Path, tmp_path: Path) -> None:
    text = SCRIPT.format(before="", library="lightning.pytorch", ranks=2, strategy="ddp")
    printed = run_script(text, tmp_path, ranks=2)
    assert printed.count("version ''") == 1
    (folder,) = runs(root)
    assert len(list(folder.glob("*.records"))) == 1
    found = series(folder)
    assert [step for step, _ in found["loss"]] == [0, 1]
    assert found["rank"] == [(9, 0)]
    assert end(folder) == ("succeeded", None)


def test_the_library_under_its_older_name(root: Path, tmp_path: Path) -> None:
    """`pytorch_lightning` where `lightning` is not installed."""
    before = "sys.modules['lightning'] = None"
    text = SCRIPT.format(before=before, library="pytorch_lightning", ranks=1, strategy="auto")
    assert "base pytorch_lightning.loggers.logger" in run_script(text, tmp_path)
    (folder,) = runs(root)
    assert [step for step, _ in series(folder)["loss"]] == [0, 1]


def test_the_readmes_example(root: Path) -> None:
    exec(example("bench_track.lightning"), {"model": Line(), "loader": batches()})
    (folder,) = runs(root)
    assert said(folder)["group"] == "catdog"
    assert "train/loss" in series(folder)
