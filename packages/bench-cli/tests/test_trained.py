"""The user's path to the end: a real training by the server's runner, as processes."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_tools import Cli, Result, Server, error, finish, running_server

DATASETS = """
from bench_data import ChunkDataset, ProcessorDataset, process_datasets


class Numbers(ProcessorDataset):
    def __len__(self):
        return 10

    def get_label_and_numeric_data(self, item):
        return item


def main():
    process_datasets(Numbers(), ChunkDataset, "train")
"""

SCRIPT = """
import os, pathlib, sys, time
from bench_data import ChunkDataset

for percent in (0, 50, 100):
    print(f"\\r{percent}%", end="", flush=True)
print(f"\\nsum {sum(sample for sample in ChunkDataset('train'))}, key {os.environ.get('KEY')}")
kept = pathlib.Path(os.environ["BENCH_OUTPUT"], "attempts")
count = int(kept.read_text()) + 1 if kept.exists() else 1
kept.write_text(str(count))
print("attempt", count, flush=True)
if "--sleep" in sys.argv:
    time.sleep(600)
sys.exit(3 if count == 2 else 0)
"""


BASE = os.environ.get("BENCH_BASE_IMAGE", "bench-base:bookworm")  # made by .ci/base-image


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a runner, and no container engine."""
    with running_server(tmp_path_factory.mktemp("trainer"), BENCH_ENGINE="process") as made:
        yield made


@pytest.fixture
def ada(cli: Cli, trainer: Server, request: pytest.FixtureRequest) -> Cli:
    """`bench` of the owner, in a project with a dataset that was migrated and is on the server only."""
    cli.with_login(trainer, "ada")
    assert cli("startproject", request.node.name, ".").code == 0
    (cli.work / "Datasets" / "ProjectDatasets.py").write_text(DATASETS)
    assert cli("migrate", "-q").code == 0
    shutil.rmtree(cli.work / ".bench" / "datasets")
    (cli.work / "TrainScript.py").write_text(SCRIPT)
    return cli


def test_the_whole_way(ada: Cli, tmp_path: Path) -> None:
    assert ada("secret", "set", "KEY", stdin="hidden value\n").code == 0
    done = ada("run", "--follow", "--name", "wide")
    assert done.stdout == "100%\nsum 45, key ************\nattempt 1\n"
    assert (done.code, done.stderr.splitlines()[-1]) == (0, "wide succeeded.")

    failed = ada("resume", "wide", "-f")
    assert (failed.code, failed.stdout.splitlines()[-1]) == (100, "attempt 2")
    assert failed.stderr.splitlines()[-1] == (
        "wide failed: the training returned 3 (failed_exit, exit code 3)."
    )
    assert ada("runs", "artifacts", "wide", "--only", "output/*", "--download", "got").code == 0
    assert (ada.work / "got" / "output" / "attempts").read_text() == "2"

    again = ada("runs", "rerun", "wide", "-f")
    assert (again.code, again.stdout.splitlines()[-1]) == (0, "attempt 1")


def test_a_training_is_stopped(ada: Cli) -> None:
    assert ada("run", "-q", "--name", "long", "--", "python", "TrainScript.py", "--sleep").code == 0
    with ada.in_terminal("logs", "-f", "long", columns=200) as terminal:
        terminal.expect_exact("attempt 1\r\n")
        assert ada("stop", "long") == Result(0, "long is being stopped.\n", "")
        code, said = finish(terminal)
    assert (code, said.splitlines()[-1]) == (103, "long stopped: ada stopped it (stopped).")
    assert json.loads(ada("runs", "show", "long", "--json").stdout)["attempts"][0]["stopper"] == "ada"


@pytest.mark.needs("dockerd")
def test_a_run_is_repeated_in_a_container_of_this_machine(ada: Cli) -> None:
    (ada.work / "requirements.txt").write_text("numpy\n")
    assert ada("run", "--follow", "--name", "wide").code == 0
    (ada.work / "TrainScript.py").write_text("print('the code of now')\n")
    repeat = ["runs", "rerun", "wide", "--local"]
    assert ada(*repeat) == Result(
        1,
        "",
        error(
            "wide has version 1 of train, which is not on this machine",
            "Fetch it: bench data pull train --version 1",
        ),
    )
    assert ada("data", "pull", "train", "--version", "1").code == 0
    again = ada(*repeat, BENCH_BASE_IMAGE=BASE)
    assert (again.code, again.stdout.splitlines()[-2:]) == (0, ["sum 45, key None", "attempt 1"]), (
        again.stderr
    )
    assert (ada.work / ".bench" / "local" / "output" / "attempts").read_text() == "1"
