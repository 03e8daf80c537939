"""`bench checkpoints`, against a real server."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench_track.records import MAGIC, pack_note
from checkpoint_tools import contents, note_of, write_checkpoint
from cli_tools import Cli, Result, Server, error
from run_driver import Driver, running_driver
from uuid6 import uuid7


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


def test_those_of_a_run_from_elsewhere_come_back(wide: Cli, tmp_path: Path) -> None:
    run = tmp_path / "tracks" / str(uuid7())
    saved = [write_checkpoint(run / "checkpoints", step, {"weights": b"%d" % step}) for step in (1, 2, 3)]
    document = {"version": 1, "run": run.name, "project": None, "name": "far", "command": ["train.py"]}
    (run / "run.json").write_text(json.dumps({**document, "time": time.time_ns()}))
    (run / "end.json").write_text(json.dumps({"version": 1, "state": "succeeded", "exit_code": 0}))
    (run / "0-1-5e0c2a91.records").write_bytes(MAGIC + b"".join(pack_note(note_of(one)) for one in saved))
    moved = saved[2].folder.rename(tmp_path / "away")
    assert wide("track", "sync", str(run)) == Result(0, "The server has 1 run of 1.\n", "")
    documents = json.loads(wide("checkpoints", "far", "--json").stdout)
    assert [one["place"] for one in documents] == ["server", "server", "elsewhere"]
    assert "where it was made" in wide("checkpoints", "far").stdout
    assert wide("checkpoints", "far", "--download", "newest", "--to", "newest") == Result(
        0,
        "step-000000002, 1 file, 1 B, in newest.\n",
        "Warning: step-000000003 is newer, and is not on the server\n",
    )
    assert contents(wide.work / "newest") == contents(saved[1].folder)
    asked = wide("checkpoints", "far", "--download", "step-000000003")
    assert (asked.code, asked.stdout, "is on the machine that the run was started on" in asked.stderr) == (
        1,
        "",
        True,
    )
    moved.rename(saved[2].folder)
    assert wide("track", "sync", str(run)).code == 0
    assert wide("checkpoints", "far", "--download", "newest", "-q").stdout == "step-000000003\n"
    assert contents(wide.work / "step-000000003") == contents(saved[2].folder)


def test_to_goes_with_download(cli: Cli) -> None:
    assert cli("checkpoints", "--to", "x") == Result(
        2, "", error("--to goes with --download", "See: bench checkpoints --help")
    )
