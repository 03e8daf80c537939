"""`bench metrics`, `checkpoints`, `track sync`, and how runs of elsewhere look, against a real server."""

import json
import re
import time
from pathlib import Path

import pytest
from bench_track.records import MAGIC, pack_note, pack_points, pack_shape
from cli_tools import Cli, Result, error
from uuid6 import uuid7

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d")


@pytest.fixture
def folder(ada: Cli, project: str) -> Path:
    """A project's folder; its id is in it."""
    shown = json.loads(ada("project", "show", project, "--json").stdout)
    (ada.work / "bench.toml").write_text(f'[project]\nid = "{shown["id"]}"\nname = "{project}"\n')
    return ada.work


def track(root: Path, name: str, losses: list[float]) -> Path:
    """What a script that was not a run has left."""
    folder = root / str(uuid7())
    folder.mkdir(parents=True)
    document = {"version": 1, "run": folder.name, "project": None, "name": name, "command": ["train.py"]}
    (folder / "run.json").write_text(json.dumps({**document, "time": time.time_ns()}))
    (folder / "end.json").write_text(json.dumps({"version": 1, "state": "succeeded", "exit_code": 0}))
    points = [
        pack_points(1, step=step, time=1_700_000_000_250_000_000 + step, values=[loss, step / 10])
        for step, loss in enumerate(losses)
    ]
    notes = [
        {
            "type": "checkpoint",
            "name": "step-1",
            "path": "/c/step-1",
            "step": 1,
            "metric": 0.5,
            "bytes": 2048,
        },
        {"type": "checkpoint", "name": "step-2", "path": "/c/step-2", "step": 2, "bytes": 2048, "best": True},
    ]
    notes += [
        {"type": "config", "values": {"lr": 0.1, "model": {"width": 8}}},
        {"type": "summary", "values": {"best": losses[-1], "note": "größer"}},
    ]
    data = [MAGIC, pack_shape(1, ["train/loss", "train/acc"]), *points, *map(pack_note, notes)]
    (folder / "0-1-5e0c2a91.records").write_bytes(b"".join(data))
    return folder


def test_runs_of_elsewhere_are_synced_and_shown(ada: Cli, folder: Path, project: str, tmp_path: Path) -> None:
    root = tmp_path / "tracks"
    ada.environment["BENCH_TRACK_ROOT"] = str(root)
    assert ada("track", "sync") == Result(0, "The server has 0 runs of 0.\n", "")
    track(root, "wide", [3.0, 2.0, 1.25])
    track(root, "narrow", [3.0, 0.5])
    for _ in range(2):
        assert ada("track", "sync") == Result(0, "The server has 2 runs of 2.\n", "")
    shown = ada("runs", "list", "--sort", "train/loss")
    lines = shown.stdout.splitlines()
    assert lines[0].split()[:3] == ["NAME", "train/loss", "STATE"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["narrow", "0.5", "succeeded"],
        ["wide", "1.25", "succeeded"],
    ]
    assert "elsewhere" in lines[1]
    assert ada("runs", "list", "--sort", "train/loss", "--reverse", "-q").stdout == "wide\nnarrow\n"
    assert ada("runs", "--sort", "train/loss", "-q") == Result(0, "narrow\nwide\n", "")
    assert ada("runs").stdout == ada("runs", "list").stdout
    assert "Without a command: list them." in ada("runs", "--help").stdout
    assert ada("runs", "--zzz") == Result(
        2, "", error("no such option '--zzz'", "See: bench runs list --help")
    )
    shown = ada("metrics", "wide")
    assert TIME.sub("TIME", shown.stdout).splitlines()[0].split() == [
        *("NAME", "LAST", "STEP", "MIN", "MAX", "POINTS", "WHEN")
    ]
    assert shown.stdout.splitlines()[2].split()[:6] == ["train/loss", "1.25", "2", "1.25", "3", "3"]
    assert ada("metrics", "wide", "--series", "train/acc", "-q").stdout == "train/acc\n"
    assert ada("metrics", "wide", "--csv", "--series", "train/loss").stdout == (
        "series,attempt,rank,step,time,value\n"
        "train/loss,1,0,0,1700000000.250000000,3.0\n"
        "train/loss,1,0,1,1700000000.250000001,2.0\n"
        "train/loss,1,0,2,1700000000.250000002,1.25\n"
    )
    documents = json.loads(ada("checkpoints", "wide", "--json").stdout)
    assert [(one["name"], one["step"], one["metric"], one["is_best"]) for one in documents] == [
        ("step-1", 1, 0.5, False),
        ("step-2", 2, None, True),
    ]
    assert "step-2" in ada("checkpoints", "wide").stdout
    lines = ada("runs", "show").stdout.splitlines()  # the latest
    assert lines[lines.index("Config:") :][:6] == [
        *("Config:", "  lr: 0.1", '  model: {"width": 8}'),
        *("Summary:", "  best: 0.5", '  note: "größer"'),
    ]
    document = json.loads(ada("runs", "show", "wide", "--json").stdout)
    assert document["summary"] == {"best": 1.25, "note": "größer"}
    run_id = document["run_id"]
    said = "wide was started elsewhere, and what it writes stays there.\n"
    assert ada("logs", "wide") == Result(0, "", said)
    made = ada("open", "wide", "--link")
    assert made.code == 0
    assert re.fullmatch(r"http://\S+\n", made.stdout)
    assert run_id
    assert ada("open", "nobody", "--link") == Result(
        1, "", error("the project has no run 'nobody'", "`bench runs list` shows them.")
    )


def test_what_cannot_be_sent_is_said(ada: Cli, tmp_path: Path, folder: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    shown = ada("track", "sync", str(empty))
    assert (shown.code, shown.stdout) == (1, "The server has 0 runs of 1.\n")
    assert shown.stderr.startswith(f"Warning: {empty}: {empty} is no folder of a tracked run")


def test_nothing_was_logged(ada: Cli, folder: Path) -> None:
    (folder / "train.py").write_text("")
    assert ada("run", "--name", "silent", "-q", "--", "python", "train.py").code == 0
    assert ada("metrics", "silent") == Result(0, "", "silent has logged nothing like that.\n")
    assert ada("checkpoints", "silent") == Result(0, "", "silent has made no checkpoint.\n")


@pytest.mark.parametrize(
    ("arguments", "message", "path"),
    [
        (["metrics", "--csv", "--json"], "--csv and --json exclude each other", "bench metrics"),
        (["runs", "list", "--reverse"], "--reverse goes with --sort", "bench runs list"),
    ],
)
def test_options_that_exclude_each_other(cli: Cli, arguments: list[str], message: str, path: str) -> None:
    assert cli(*arguments) == Result(2, "", error(message, f"See: {path} --help"))
