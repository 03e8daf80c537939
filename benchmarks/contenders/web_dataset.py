"""WebDataset."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import webdataset

from benchmarks.contenders import BATCH, SHARD_BYTES, WORKERS
from benchmarks.contenders.processes import halves, settle, write_halves
from benchmarks.contenders.touch import byte_toucher
from benchmarks.data import Sample, samples

SHUFFLE_BUFFER = 1000
"""Samples; the size that its documentation uses."""


def write(source: Path, out: Path, durable: bool) -> None:
    out.mkdir(parents=True)
    all_samples = samples(source)
    write_halves(_write_shards, [[all_samples[i] for i in half] for half in halves(len(all_samples))], out)
    settle(durable)


def epoch(source: Path, out: Path, through_path: bool) -> Iterable[tuple[Any, Any]]:
    shards = sorted(map(str, out.glob("*.tar")))
    touch = partial(_label_and_touch, byte_toucher(through_path))
    dataset = (
        webdataset.WebDataset(shards, shardshuffle=len(shards))
        .shuffle(SHUFFLE_BUFFER)
        .map(touch)
        .batched(BATCH)
    )
    loader: Iterable[tuple[Any, Any]] = webdataset.WebLoader(dataset, batch_size=None, num_workers=WORKERS)
    return loader


def _write_shards(part: int, part_samples: list[Sample], out: Path) -> None:
    pattern = f"{out}/part{part}-%06d.tar"
    with webdataset.ShardWriter(pattern, maxsize=SHARD_BYTES, verbose=0, encoder=False) as writer:
        for path, label in part_samples:
            with open(path, "rb") as file:
                data = file.read()
            writer.write({"__key__": Path(path).stem, "jpg": data, "cls": b"%d" % label})


def _label_and_touch(touch: Any, sample: dict[str, bytes]) -> tuple[int, int]:
    return int(sample["cls"]), touch(sample["jpg"])
