"""A small project that needs no torch, and its manage.py."""

import os
import re
import subprocess
import sys
from pathlib import Path

from bench_core import read_project
from bench_deploy import ProjectVersions, StartedProject, start_project

DATASETS = """
import os
from bench_data import ChunkDataset, ProcessorDataset, WriteOptions, process_datasets


class Texts(ProcessorDataset):
    write_options = WriteOptions(workers=1, durable=False)

    def __init__(self, folder):
        self._paths = sorted(os.path.join(folder, name) for name in os.listdir(folder))

    def __len__(self):
        return len(self._paths)

    def get_file(self, item):
        return [self._paths[item]]


class TextsChunk(ChunkDataset):
    def __getitem__(self, item):
        _, files = super().__getitem__(item)
        return files[0].read_bytes()


def main():
    process_datasets(Texts("data/train"), TextsChunk, "train")
"""


def start(folder: Path, name: str, samples: int = 40) -> StartedProject:
    """A project with a dataset of small files."""
    started = start_project(name, folder)
    (folder / "Datasets" / "ProjectDatasets.py").write_text(DATASETS)
    add_samples(folder, 0, samples)
    return started


def add_samples(folder: Path, first: int, count: int, dataset: str = "train") -> None:
    raw = folder / "data" / dataset
    raw.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        (raw / f"{number:05}.txt").write_text(f"sample {number} of {dataset}")


def manage(folder: Path, *arguments: str, expect: int = 0, **environment: str) -> str:
    """What `manage.py --makemigrations` says, with its times as `T s` and sizes of bundles as `SIZE`."""
    done = subprocess.run(
        [sys.executable, "manage.py", "--makemigrations", *arguments],
        cwd=folder,
        env={**os.environ, "BENCH_DATA_ROOT": "", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    assert done.stdout == ""
    text = re.sub(r"\d+\.\d s\b", "T s", done.stderr)
    text = re.sub(r"(sends \d+ files,|\d+ files,|sent) [\d.]+ (bytes|kB|MB)", r"\1 SIZE", text)
    return text.replace(str(folder), "HERE")


def versions(folder: Path) -> ProjectVersions:
    return ProjectVersions(read_project(folder))
