"""`bench checkpoints`, against a real server."""

import json
from collections.abc import Iterator

import pytest
from checkpoint_tools import contents
from cli_tools import Cli, Result, Server, error
from run_driver import Driver, running_driver


@pytest.fixture(scope="module")
def driver(server: Server) -> Iterator[Driver]:
    with running_driver(server.data) as made:
        yield made


@pytest.fixture
def wide(ada: Cli, project: str, driver: Driver) -> Cli:
    """A run called `wide`, which has made two checkpoints, in a project's folder."""
    shown = json.loads(ada("project", "show", project, "--json").stdout)
    (ada.work / "bench.toml").write_text(f'[project]\nid = "{shown["id"]}"\nname = "{project}"\n')
    (ada.work / "TrainScript.py").write_text("print('training')\n")
    assert ada("run", "-q", "--name", "wide") == Result(0, "wide\n", "")
    driver.checkpoint("wide", 1, {"net/weights.pt": "first"}, 0.9, True)
    driver.checkpoint("wide", 2, {"net/weights.pt": "second", "args": ""}, 0.5, False)
    return ada


def test_a_checkpoint_is_fetched(wide: Cli) -> None:
    documents = json.loads(wide("checkpoints", "--json").stdout)
    assert [(one["step"], one["place"]) for one in documents] == [(1, "server"), (2, "server")]
    assert wide("checkpoints").stdout.count("on the server") == 2
    assert wide("checkpoints", "wide", "--download", "newest") == Result(
        0, "step-000000002, 2 files, 6 B, in step-000000002.\n", ""
    )
    found = contents(wide.work / "step-000000002")
    assert found.pop("checkpoint.json")
    assert found == {"net/weights.pt": b"second", "args": b""}
    best = wide("checkpoints", "--download", "best", "--to", "models/best", "--json")
    assert json.loads(best.stdout) == {
        "name": "step-000000001",
        "step": 1,
        "folder": "models/best",
        "file_count": 1,
        "size_bytes": 5,
    }
    assert (wide.work / "models/best/net/weights.pt").read_text() == "first"
    assert wide("checkpoints", "--download", "step-000000001", "--to", "models/best", "-q") == Result(
        1, "", error(f"{wide.work}/models/best is there already", "Name a folder that is not there yet.")
    )


def test_what_cannot_be_fetched_leaves_nothing(wide: Cli, server: Server) -> None:
    before = set(wide.work.iterdir())
    assert wide("checkpoints", "--download", "step-3") == Result(
        1, "", error("the run has no checkpoint 'step-3'", "`bench checkpoints` lists what there is.")
    )
    run_id = json.loads(wide("runs", "show", "wide", "--json").stdout)["run_id"]
    weights = server.data / "runs" / run_id / "output/checkpoints/step-000000002/net/weights.pt"
    weights.write_text("sec0nd")
    assert wide("checkpoints", "--download", "newest") == Result(
        1,
        "",
        error(
            "net/weights.pt is not what the training wrote: its digest differs",
            "The checkpoint is damaged; another one may be whole.",
        ),
    )
    assert set(wide.work.iterdir()) == before


def test_to_goes_with_download(cli: Cli) -> None:
    assert cli("checkpoints", "--to", "x") == Result(
        2, "", error("--to goes with --download", "See: bench checkpoints --help")
    )
