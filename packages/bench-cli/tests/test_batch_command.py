"""`bench batch`: the samples that a run had at a step, as files, from the version on a real server."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_data import ChunkDataset, ProcessorDataset, WriteOptions, loader, write_chunks
from bench_data.latest_batch import latest_batch
from bench_track.records import MAGIC, pack_order, pack_points, pack_shape
from cli_tools import Cli, Result, error
from uuid6 import uuid7

COUNT, BATCH, FILE_BYTES = 300, 8, 40_000


class Pictures(ProcessorDataset):
    """Samples of one file and a label with a small array and a large one."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.paths = [folder / f"cat {number}.bin" for number in range(COUNT)]
        for number, path in enumerate(self.paths):
            path.write_bytes(np.random.default_rng(number).bytes(FILE_BYTES))

    def __len__(self) -> int:
        return COUNT

    def get_label_and_numeric_data(self, item: int) -> Any:
        return {"class": f"cat {item}", "box": np.arange(4) + item, "map": np.full((40, 40), item, np.int16)}

    def get_file(self, item: int) -> list[Path]:
        return [self.paths[item]]


@pytest.fixture
def folder(ada: Cli, project: str) -> Path:
    """A project's folder; its id is in it."""
    shown = json.loads(ada("project", "show", project, "--json").stdout)
    (ada.work / "bench.toml").write_text(f'[project]\nid = "{shown["id"]}"\nname = "{project}"\n')
    return ada.work


def write(place: Path, chunk_bytes: int) -> ChunkDataset:
    options = WriteOptions(workers=1, chunk_bytes=chunk_bytes, durable=False)
    write_chunks(Pictures(place / "source"), "cats", root=place / "sets", options=options)
    return ChunkDataset("cats", place / "sets")


def train(dataset: ChunkDataset, root: Path, name: str) -> list[list[str]]:
    """What a training of two epochs leaves, that was not a run; the classes of each step's batch."""
    run = root / str(uuid7())
    run.mkdir(parents=True)
    document = {"version": 1, "run": run.name, "project": None, "name": name, "command": ["train.py"]}
    (run / "run.json").write_text(json.dumps({**document, "time": time.time_ns()}))
    (run / "end.json").write_text(json.dumps({"version": 1, "state": "succeeded", "exit_code": 0}))
    classes: list[list[str]] = []
    records = [MAGIC, pack_shape(1, ["loss"])]
    dl = loader(dataset, batch_size=BATCH, seed=3)
    for epoch in range(2):
        dl.set_epoch(epoch)
        for label, _ in dl:
            order, number, batch = latest_batch.position
            assert order is not None
            if not classes:
                records.append(pack_order(1, order.to_json()))
            place = {"order": 1, "epoch": number, "batch": batch}
            records.append(pack_points(1, step=len(classes), time=time.time_ns(), values=[1.0], **place))
            classes.append(label["class"])
    (run / "0-1-5e0c2a91.records").write_bytes(b"".join(records))
    return classes


def push(ada: Cli, root: Path) -> None:
    words = [
        sys.executable,
        "-c",
        "import sys, bench_data; bench_data.push('cats', root=sys.argv[1])",
        str(root),
    ]
    subprocess.run(words, check=True, cwd=ada.work, env=ada.environment, capture_output=True)


@pytest.mark.parametrize("chunk_bytes", [64 << 20, 100_000], ids=["by range", "whole chunks"])
def test_the_samples_of_a_step_are_written(ada: Cli, folder: Path, tmp_path: Path, chunk_bytes: int) -> None:
    dataset = write(tmp_path, chunk_bytes)
    ada.environment["BENCH_TRACK_ROOT"] = str(tmp_path / "tracks")
    classes = train(dataset, tmp_path / "tracks", "wide")
    push(ada, tmp_path / "sets")
    assert ada("track", "sync").stdout == "The server has 1 run of 1.\n"
    step = len(classes) - 3
    shown = ada("batch", "wide", "--step", str(step))
    assert shown == Result(0, f"8 samples in wide-step-{step}: epoch 1, batch {38 - 3} of cats.\n", "")
    written = folder / f"wide-step-{step}"
    document = json.loads((written / "labels.json").read_text())
    assert [sample["label"]["class"] for sample in document["samples"]] == classes[step]
    for sample in document["samples"]:
        number, [name] = int(sample["label"]["class"].removeprefix("cat ")), sample["files"]
        assert name.endswith(f"-{sample['sample_number']}-cat {number}.bin")
        assert (written / name).read_bytes() == np.random.default_rng(number).bytes(FILE_BYTES)
        assert sample["label"]["box"] == [number, number + 1, number + 2, number + 3]
        assert (np.load(written / sample["label"]["map"]["file"]) == number).all()
    assert len(list(written.iterdir())) == 2 * BATCH + 1
    again = ada("batch", "wide", "--step", str(step))
    assert again == Result(1, "", error(f"wide-step-{step} is not empty", "Name another folder with --to."))
    assert json.loads(ada("batch", "wide", "--step", "0", "--to", "first", "--json").stdout)["epoch"] == 0
    missing = ada("batch", "wide", "--step", "999")
    assert (missing.code, missing.stdout) == (1, "")
    assert "nothing says which batch it was" in missing.stderr


def test_a_dataset_that_is_not_there(ada: Cli, folder: Path, tmp_path: Path) -> None:
    ada.environment["BENCH_TRACK_ROOT"] = str(tmp_path / "tracks")
    train(write(tmp_path, 64 << 20), tmp_path / "tracks", "wide")
    ada("track", "sync")
    assert ada("batch", "wide", "--step", "0") == Result(
        1,
        "",
        error(
            "the project has not the version of the dataset 'cats' that the batch is from",
            "Push the dataset: bench_data.push('cats').",
        ),
    )
