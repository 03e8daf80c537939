"""A callback for Hugging Face's Trainer."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from bench_track.held_run import HeldRun
from bench_track.leniency import log_what_can_be
from bench_track.run import Run

SPLITS = ("eval", "test")
"""What the Trainer's names of values begin with, where they are not the training's."""

RESULTS = frozenset(
    {
        "total_flos",
        "train_loss",
        "train_runtime",
        "train_samples_per_second",
        "train_steps_per_second",
    }
)
"""What the Trainer says once, at the end."""


class BenchCallback(TrainerCallback):
    """Logs what a Trainer logs to a run: `train/...`, `eval/...` and `test/...`, as its own callbacks do.

    The configuration gets the training's arguments under `args` and the model's under `model`, the summary
    what the Trainer says at the end. Only the first process of all logs.

    Args:
        tags: Words to find the run by.
        project: The project's id, outside of a server's runs.
        run: The run; unless given, the one that goes on, else a new one, whose group is the `run_name` of the
            training's arguments. It ends with the script, or when another training begins.

    Example:
        trainer = Trainer(model, args, train_dataset=samples, callbacks=[BenchCallback()])
        trainer.train()
    """

    def __init__(
        self, *, tags: Sequence[str] = (), project: str | None = None, run: Run | None = None
    ) -> None:
        self._tags, self._project, self._run = tags, project, run
        self._held: HeldRun | None = None
        self._trial: object = None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        **kwargs: Any,
    ) -> None:
        """Take up the run, and say what it is configured with."""
        if not state.is_world_process_zero:
            return
        if state.trial_name != self._trial:  # each trial of a search is a run
            self._held, self._trial = None, state.trial_name
        config = {"args": args.to_dict()}  # type: ignore[no-untyped-call]  # it hides tokens
        if getattr(model, "config", None) is not None:
            config["model"] = model.config.to_dict()
        self._run_of(args).config.update(config)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Log what the Trainer does."""
        if state.is_world_process_zero and logs:
            self._log(self._run_of(args), state, logs)

    def on_predict(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        """Log what a prediction was measured with."""
        if state.is_world_process_zero and metrics:
            self._log(self._run_of(args), state, metrics)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Let go of the run; what is evaluated later still belongs to it."""
        if not state.is_world_process_zero:
            return
        if state.best_metric is not None:
            self._run_of(args).summary["best_metric"] = state.best_metric
        if self._held is not None:
            self._held.release()

    def _run_of(self, args: TrainingArguments) -> Run:
        if self._held is None:
            group = args.run_name[:100] if args.run_name else None
            self._held = HeldRun(group=group, tags=self._tags, project=self._project, rank=0, run=self._run)
        return self._held.run

    def _log(self, run: Run, state: TrainerState, logs: Mapping[str, Any]) -> None:
        results = {name: value for name, value in logs.items() if name in RESULTS}
        if results:
            run.summary.update(results)
        values = {_series(name): value for name, value in logs.items() if name not in RESULTS}
        log_what_can_be(run, values, state.global_step)


def _series(name: str) -> str:
    split, _, rest = name.partition("_")
    return f"{split}/{rest}" if split in SPLITS and rest else f"train/{name}"
