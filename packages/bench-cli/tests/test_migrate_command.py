"""`bench migrate` and `bench version`: a project that was just started, and a change of it."""

import json
import re
import sys
from pathlib import Path

import pytest
from cli_tools import Cli, Result, error, finish

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


@pytest.fixture
def folder(ada: Cli, project: str) -> Path:
    """A project with small datasets, whose folder is the current one."""
    ada(
        "startproject",
        project,
        ".",
        "--id",
        json.loads(ada("project", "show", project, "--json").stdout)["id"],
    )
    (ada.work / "Datasets" / "ProjectDatasets.py").write_text(DATASETS)
    return ada.work


def test_a_project_and_its_versions(ada: Cli, folder: Path, project: str) -> None:
    assert ada("version", "list") == Result(
        0, "", "The project has no version yet. Make one: bench migrate\n"
    )
    planned = ada("migrate", "--dry-run")
    assert (planned.code, planned.stdout) == (0, f"{project} has no version yet.\n")
    assert "would make version 1" in planned.stderr

    done = ada("migrate", "-m", "first")
    assert (done.code, done.stdout) == (0, f"{project} is at version 1.\n")
    assert done.stderr.startswith(f"Project {project}\n")
    (folder / "notes.txt").write_text("one more")
    (folder / "TrainScript.py").write_text("print('shorter')\n")
    (folder / "Models" / "__init__.py").unlink()
    again = json.loads(ada("migrate", "--json").stdout)
    assert (again["version"]["version_number"], again["existed"], again["kept"]) == (2, False, [])
    same = ada("migrate", "--quiet")
    assert same == Result(0, "2\n", same.stderr)

    assert ada("version", "list", "-q") == Result(0, "2\n1\n", "")
    rows = ada("version", "list").stdout.splitlines()
    assert rows[0].split() == ["VERSION", "MADE", "BY", "FILES", "DATASETS", "COMMIT", "MESSAGE"]
    assert rows[2].rstrip().endswith("first")
    listed = json.loads(ada("version", "list", "--json").stdout)
    assert [(each["version_number"], each["creator"], each["message"]) for each in listed] == [
        (2, "ada", ""),
        (1, "ada", "first"),
    ]
    shown = ada("version", "show", "1")
    titles = [line.partition(":")[0] for line in shown.stdout.splitlines() if line[0] != " "]
    assert titles == ["Version", "Made", "By", "Message", "Commit", "Datasets", "Code", "Files"]
    assert "\nFiles:\n  .benchignore\n" in shown.stdout
    assert re.search(r"^Datasets: train 1$", shown.stdout, re.MULTILINE)
    document = json.loads(ada("version", "show", "--json").stdout)
    assert document["version_number"] == 2
    assert ("notes.txt", "plain") in [(file["path"], file["kind"]) for file in document["files"]]

    changes = "A  notes.txt\nD  Models/__init__.py\nM  TrainScript.py\n"
    assert ada("version", "diff") == Result(0, changes, "")
    assert ada("version", "diff", "1", "2") == Result(0, changes, "")
    assert ada("version", "diff", "2", "2") == Result(0, "Versions 2 and 2 are the same.\n", "")
    assert json.loads(ada("version", "diff", "--json").stdout) == {
        "old": 1,
        "new": 2,
        "added": ["notes.txt"],
        "removed": ["Models/__init__.py"],
        "changed": ["TrainScript.py"],
        "datasets": [],
    }
    for command in (["show", "9"], ["diff", "1", "9"]):
        absent = ada("version", *command)
        assert (absent.code, absent.stdout, absent.stderr[:7]) == (1, "", "Error: ")


def test_the_users_error_is_shown_with_its_place(ada: Cli, folder: Path) -> None:
    (folder / "Datasets" / "ProjectDatasets.py").write_text("def main():\n    return 1 / 0\n")
    failed = ada("migrate")
    assert (failed.code, failed.stdout) == (1, "")
    assert "ZeroDivisionError" in failed.stderr
    assert "return 1 / 0" in failed.stderr
    first = ada("version", "diff")
    assert (first.code, first.stdout) == (1, "")


def test_what_looks_like_a_secret_is_asked_about(ada: Cli, folder: Path, project: str) -> None:
    (folder / "id_rsa").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    refused = ada("migrate")
    assert (refused.code, refused.stderr.splitlines()[-1]) == (
        1,
        "Hint: Name in .benchignore what is not to be sent, or say yes with --yes.",
    )
    with ada.in_terminal("migrate", columns=200) as terminal:
        terminal.expect_exact("id_rsa looks like a secret. Send them? [y/N]: ")
        terminal.sendline("n")
        assert finish(terminal)[0] == 1
    assert ada("version", "list", "-q") == Result(0, "", "")
    assert ada("migrate", "--yes").stdout == f"{project} is at version 1.\n"


def test_outside_of_a_project(ada: Cli) -> None:
    nowhere = f"{ada.work} is in no project: there is no bench.toml here or above"
    hint = "Go to a project's folder, or make one: `bench startproject NAME`."
    assert ada("migrate") == Result(1, "", error(nowhere, hint))


def test_the_interpreter_of_the_project_runs_its_code(ada: Cli, folder: Path) -> None:
    noting = folder / "python"
    noting.write_text(f'#!/bin/sh\ntouch "{folder}/.was-run"\nexec {sys.executable} "$@"\n')
    noting.chmod(0o700)
    toml = folder / "bench.toml"
    toml.write_text(toml.read_text() + 'python = "./python"\n')
    assert ada("migrate").code == 0
    assert (folder / ".was-run").exists()
