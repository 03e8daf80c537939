"""The callback under a real Trainer, with a tiny model of random weights."""

from pathlib import Path
from typing import Any

import bench_track
import pytest
import torch
from adapter_tools import clean, end, example, root, run_script, runs, said, series, spool
from bench_track.transformers import BenchCallback
from spool_reading import media, notes
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerControl, TrainerState, TrainingArguments

__all__ = ["clean", "root", "spool"]  # fixtures

torch.manual_seed(0)
TINY: dict[str, Any] = {
    **{"vocab_size": 16, "n_positions": 4, "n_embd": 8, "n_layer": 1, "n_head": 1},
    **{"bos_token_id": 0, "eos_token_id": 1},
}
SAMPLES = [{"input_ids": row, "labels": row} for row in torch.randint(0, 16, (8, 4))]


def model() -> Any:
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=16, n_positions=4, n_embd=8, n_layer=1, n_head=1, bos_token_id=0, eos_token_id=1
        )
    )


def arguments(**more: Any) -> TrainingArguments:
    return TrainingArguments(
        output_dir="out",
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        max_steps=4,
        per_device_train_batch_size=2,
        logging_steps=1,
        save_strategy="no",
        **more,
    )


def trainer(callback: BenchCallback, **more: Any) -> Trainer:
    return Trainer(
        model(), arguments(**more), train_dataset=SAMPLES, eval_dataset=SAMPLES[:2], callbacks=[callback]
    )


def test_a_training_and_what_is_measured_after_it(root: Path) -> None:
    training = trainer(BenchCallback(tags=["a"]), eval_strategy="steps", eval_steps=2, run_name="letters")
    assert not root.exists()
    training.train()
    (folder,) = runs(root)
    assert (said(folder)["group"], said(folder)["tags"]) == ("letters", ["a"])
    *history, last = training.state.log_history
    found = series(folder)
    for name in ("loss", "grad_norm", "learning_rate"):
        told = [(entry["step"], entry[name]) for entry in history if name in entry]
        assert found[f"train/{name}"] == told
        assert [step for step, _ in told] == [1, 2, 3, 4]
    told = [(entry["step"], entry["eval_loss"]) for entry in history if "eval_loss" in entry]
    assert found["eval/loss"] == told
    assert [step for step, _ in told] == [2, 4]
    (summary,) = notes(folder, "summary")
    assert summary["values"].keys() == last.keys() - {"epoch", "step"}
    assert summary["values"]["train_loss"] == last["train_loss"]
    assert not {name for name in found if "runtime" in name and name.startswith("train")}
    training.evaluate()
    training.predict(SAMPLES[:4])  # type: ignore[arg-type]
    found = series(folder)
    assert [step for step, _ in found["eval/loss"]] == [2, 4, 4]
    assert [step for step, _ in found["test/loss"]] == [4]
    assert end(folder) is None
    assert media(folder) == []


def test_what_it_is_configured_with(spool: Path) -> None:
    trainer(BenchCallback(), learning_rate=0.125, hub_token="secret").train()
    (config,) = notes(spool, "config")
    assert config["values"].keys() == {"args", "model"}
    assert config["values"]["args"]["learning_rate"] == 0.125
    assert config["values"]["model"]["n_embd"] == 8
    assert "secret" not in str(config)


def test_the_best_metric_is_a_result(spool: Path) -> None:
    training = trainer(BenchCallback())
    training.args.metric_for_best_model = "loss"
    training.state.best_metric = 0.25
    training.callback_handler.on_train_end(training.args, training.state, training.control)
    assert notes(spool, "summary") == [{"values": {"best_metric": 0.25}}]


def test_each_training_is_a_run(root: Path) -> None:
    callbacks = [BenchCallback(), BenchCallback()]
    for callback in (callbacks[0], callbacks[0], callbacks[1]):
        trainer(callback).train()
    first, second = runs(root)
    assert (end(first), end(second)) == (("succeeded", None), None)
    assert [len(series(folder)["train/loss"]) for folder in (first, second)] == [8, 4]


def test_each_trial_of_a_search_is_a_run(root: Path) -> None:
    callback, control = BenchCallback(), TrainerControl()
    for name in ("run-0", "run-1"):
        state = TrainerState(is_hyper_param_search=True, trial_name=name, global_step=1)
        callback.on_train_begin(arguments(), state, control)
        callback.on_log(arguments(), state, control, {"loss": 0.5})
        callback.on_train_end(arguments(), state, control)
    assert [series(folder) for folder in runs(root)] == [{"train/loss": [(1, 0.5)]}] * 2


def test_the_scripts_own_run_goes_on(root: Path) -> None:
    with bench_track.init() as run:
        trainer(BenchCallback(run=run)).train()
        assert not run.is_finished
    (folder,) = runs(root)
    assert len(series(folder)["train/loss"]) == 4


def test_names_and_what_is_no_number(spool: Path) -> None:
    callback, state = BenchCallback(), TrainerState(global_step=2)
    with pytest.warns(UserWarning, match="'train/none' is left out"):
        callback.on_log(
            arguments(), state, TrainerControl(), {"test_a_b": 1, "eval_": 2, "evaluated": 3, "none": None}
        )
    assert series(spool) == {
        "test/a_b": [(2, 1)],
        "train/eval_": [(2, 2)],
        "train/evaluated": [(2, 3)],
    }


SCRIPT = """
import torch
from bench_track.transformers import BenchCallback
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

config = GPT2Config(vocab_size=16, n_positions=4, n_embd=8, n_layer=1, n_head=1)
args = TrainingArguments(
    output_dir="out", use_cpu=True, report_to="none", max_steps=2, logging_steps=1, save_strategy="no"
)
samples = [{"input_ids": row, "labels": row} for row in torch.randint(0, 16, (64, 4))]
trainer = Trainer(
    GPT2LMHeadModel(config), args, train_dataset=samples, eval_dataset=samples, callbacks=[BenchCallback()]
)
trainer.train()
trainer.evaluate()
trainer.predict(samples)
print("process", args.process_index, "of", args.world_size)
"""


def test_only_the_first_process_logs(root: Path, tmp_path: Path) -> None:
    assert "process 1 of 2" in run_script(SCRIPT, tmp_path, ranks=2)
    (folder,) = runs(root)
    assert len(list(folder.glob("*.records"))) == 1
    assert {name: len(values) for name, values in series(folder).items() if "loss" in name} == {
        "train/loss": 2,
        "eval/loss": 1,
        "test/loss": 1,
    }
    assert end(folder) == ("succeeded", None)


def test_the_readmes_example(root: Path) -> None:
    exec(
        example("bench_track.transformers"),
        {"model": model(), "args": arguments(), "samples": SAMPLES},
    )
    (folder,) = runs(root)
    assert len(series(folder)["train/loss"]) == 4
