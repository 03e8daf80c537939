"""process_datasets with its cloud half, killed at any moment: the same call makes one whole version of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_tools import Server, running_server
from bench_data import dataset_info, pull, verify
from crash_tools import (
    kill_at,
    moments,
    processes_in,
    run_to_the_end,
    stored_bytes,
    unfinished_uploads,
    versions_of,
)

SCRIPT = """
from bench_data import ChunkDataset, ProcessorDataset, WriteOptions, process_datasets
import numpy as np


class Numbers(ProcessorDataset):
    write_options = WriteOptions(workers=2, chunk_bytes=1 << 20)

    def __len__(self):
        return 8_000

    def get_label_and_numeric_data(self, item):
        return np.random.default_rng(item).integers(0, 1 << 62, 512)


if __name__ == "__main__":
    process_datasets(Numbers(), ChunkDataset, "train")
"""

RUNS = 5
"""Projects, each after kills in all steps."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as made:
        yield made


def new_folder(place: Path, name: str) -> Path:
    folder = place / name
    folder.mkdir()
    (folder / "process.py").write_text(SCRIPT)
    return folder


def test_one_whole_version_after_kills_at_any_moment(server: Server, tmp_path: Path) -> None:
    undisturbed, project = new_folder(tmp_path, "undisturbed"), server.create_project()
    lines = run_to_the_end(["process.py"], undisturbed, BENCH_PROJECT=project)
    [expected] = versions_of(server, project)
    killed = 0
    for seed in range(RUNS):
        folder, project = new_folder(tmp_path, str(seed)), server.create_project()
        for line, seconds in moments(seed, lines):
            killed += kill_at(["process.py"], folder, line, seconds, BENCH_PROJECT=project)
        run_to_the_end(["process.py"], folder, BENCH_PROJECT=project)

        [made] = versions_of(server, project)
        assert (made.version_number, made.fingerprint) == (1, expected.fingerprint)
        assert stored_bytes(server, project) == expected.stored_bytes
        assert dataset_info(folder / ".bench" / "datasets" / "train").fingerprint == expected.fingerprint
        assert [path.name for path in (folder / ".bench" / "datasets").iterdir()] == ["train"]
        assert processes_in(folder) == []
        pull("train", project=project, root=folder / "there")
        assert verify(folder / "there" / "train").ok
    assert killed > RUNS * lines // 2
    assert unfinished_uploads(server) == []
    found = server.command("check", "--digests")
    assert (found.returncode, found.stdout) == (0, "No problems.\n"), found
