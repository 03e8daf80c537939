"""A logger for Lightning's Trainer: `lightning.pytorch` or `pytorch_lightning`."""

import os
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from bench_track.held_run import HeldRun
from bench_track.leniency import log_what_can_be
from bench_track.run import Run
from bench_track.settings import OUTPUT_VARIABLE


def _library() -> str:
    """The name that the script has imported, else one that is there."""
    for name in ("lightning.pytorch", "pytorch_lightning"):
        if name in sys.modules:
            return name
    return "lightning.pytorch" if find_spec("lightning") else "pytorch_lightning"


if TYPE_CHECKING:
    from lightning.fabric.loggers.logger import rank_zero_experiment
    from lightning.pytorch.loggers import Logger
    from lightning_utilities.core.rank_zero import rank_zero_only
else:
    _loggers = import_module(f"{_library()}.loggers.logger")
    Logger, rank_zero_experiment = _loggers.Logger, _loggers.rank_zero_experiment
    rank_zero_only = import_module(f"{_library()}.utilities.rank_zero").rank_zero_only


class BenchLogger(Logger):
    """Logs what a LightningModule logs to a run; only rank 0 does.

    Args:
        name: The experiment, as Lightning calls what several versions belong to: the run's group.
        tags: Words to find it by.
        project: The project's id, outside of a server's runs.
        run: The run; unless given, the one that goes on, else a new one. A new one is `failed` when a
            training fails; else it ends with the script, or when another logger's training begins.

    Example:
        trainer = Trainer(logger=BenchLogger("catdog"), max_epochs=10)
        trainer.fit(model, loader)
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        tags: Sequence[str] = (),
        project: str | None = None,
        run: Run | None = None,
    ) -> None:
        super().__init__()
        self._name = name
        self._held = HeldRun(group=name, tags=tags, project=project, rank=0, run=run)

    @property
    @rank_zero_experiment
    def experiment(self) -> Run:
        """The `bench_track.Run`, on rank 0; elsewhere something that takes any call and does nothing."""
        return self._held.run

    @property
    def name(self) -> str:
        """The experiment; `bench` if it has no name."""
        return self._name or "bench"

    @property
    def version(self) -> str:
        """The run's id; empty on other ranks than 0."""
        run = self.experiment
        return run.id if isinstance(run, Run) else ""

    @property
    def save_dir(self) -> str | None:
        """In a run of a server the folder that is kept, so that checkpoints are; else the Trainer's own."""
        return os.environ.get(OUTPUT_VARIABLE)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log numbers.

        Args:
            metrics: Under their names.
            step: The step.
        """
        log_what_can_be(self.experiment, metrics, step)

    @rank_zero_only
    def log_hyperparams(
        self, params: Mapping[str, Any] | Namespace | None, *args: Any, **kwargs: Any
    ) -> None:
        """Say what the run is configured with.

        Args:
            params: A mapping, a namespace or a dataclass; what JSON has not is a text.
            args: What loggers of other kinds take.
            kwargs: Likewise.
        """
        self.experiment.config.update({} if params is None else params)

    def finalize(self, status: str) -> None:
        """Say how a training ended.

        Args:
            status: `success`: more may be logged, by a test for example. Another: the run ends as failed,
                or as stopped if somebody interrupted it.
        """
        if status in ("success", "finished"):
            self._held.release()
        else:
            self._held.end(failed=True)
