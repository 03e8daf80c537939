"""`bench data`."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from bench_data import ProcessorDataset, WriteOptions, write_chunks
from cli_tools import Cli, Result, Server, error, finish


class Numbers(ProcessorDataset):
    """Label-only samples."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def get_label_and_numeric_data(self, item: int) -> Any:
        return item


def write(cli: Cli, name: str, count: int = 10) -> Path:
    root = cli.work / ".bench" / "datasets"
    return write_chunks(Numbers(count), name, root=root, options=WriteOptions(workers=1, durable=False)).path


def test_datasets_of_this_machine(cli: Cli) -> None:
    nothing = "This folder belongs to no project: only the datasets of this machine are listed.\n"
    assert cli("data", "list") == Result(0, "", f"{nothing}There is no dataset.\n")
    assert cli("data", "list", "--local", "--json") == Result(0, "[]\n", "")
    folder = write(cli, "train")
    shown = cli("data", "show", "train")
    fields = json.loads(cli("data", "show", "train", "--json").stdout)
    assert shown == Result(
        0,
        "Name:        train\n"
        f"Folder:      {folder}\n"
        "Samples:     10\n"
        f"Labels:      {fields['schema_text']}\n"
        "Files:       no\n"
        f"Size:        {fields['stored_bytes']} B in 1 chunk\n"
        "Chunks:      here\n"
        f"Fingerprint: {fields['fingerprint']}\n",
        "",
    )
    assert cli("data", "show", str(folder), "-q") == Result(0, f"{fields['fingerprint']}\n", "")
    table = f"NAME   SAMPLES   SIZE  HERE  SERVER\ntrain       10  {fields['stored_bytes']} B  yes   no"
    listed = cli("data", "list", "--local")
    assert ([line.rstrip() for line in listed.stdout.splitlines()], listed.stderr) == (table.splitlines(), "")
    assert cli("data", "list", "--local", "-q") == Result(0, "train\n", "")

    (folder / "dataset.json").write_text("{")
    assert "damaged" in cli("data", "list", "--local").stdout
    [damaged] = json.loads(cli("data", "list", "--local", "--json").stdout)
    assert (damaged["latest"], "problem" in damaged["local"]) == (None, True)


def test_verify(cli: Cli) -> None:
    folder = write(cli, "train")
    size = json.loads(cli("data", "show", "train", "--json").stdout)["stored_bytes"]
    assert cli("data", "verify", "train") == Result(0, f"{folder}: 1 chunks, {size} bytes: ok\n", "")
    [chunk] = folder.glob("chunks/*.zip")
    damaged = bytearray(chunk.read_bytes())
    damaged[100] ^= 1
    chunk.write_bytes(damaged)
    found = cli("data", "verify", "train", "--json")
    document = json.loads(found.stdout)
    assert (found.code, document["ok"], document["problems"][0]["chunk"]) == (
        1,
        False,
        f"chunks/{chunk.name}",
    )
    assert found.stderr == error(
        "train is damaged",
        "Remove the damaged files and write the dataset again, or pull it: only they are replaced.",
    )


@pytest.mark.parametrize("command", ["show", "verify", "push"])
def test_a_dataset_that_is_not_there(ada: Cli, project: str, command: str) -> None:
    project_option = ["--project", project] if command == "push" else []
    absent = ada("data", command, "absent", *project_option)
    assert (absent.code, absent.stdout) == (1, "")
    assert absent.stderr.startswith("Error: ")
    assert "absent" in absent.stderr


def test_push_pull_versions_delete(ada: Cli, project: str) -> None:
    folder = write(ada, "train")
    environment = {"BENCH_PROJECT": project}
    pushed = ada("data", "push", "train", **environment)
    sent = re.fullmatch(rf"train is version 1 in {project}; (.+) sent\.\n", pushed.stdout)
    assert (pushed.code, pushed.stderr, sent is not None) == (0, "", True)
    assert ada("data", "push", "train", **environment).stdout == (
        f"train is version 1 in {project}; nothing had to be sent.\n"
    )
    write(ada, "train", 20)
    again = ada("data", "push", "train", "--json", **environment)
    assert json.loads(again.stdout)["version_number"] == 2
    rows = [
        " ".join(row.split()[:2])
        for row in ada("data", "versions", "train", **environment).stdout.splitlines()
    ]
    assert rows == ["VERSION SAMPLES", "2 20", "1 10"]
    assert ada("data", "versions", "train", "-q", **environment) == Result(0, "2\n1\n", "")
    first = json.loads(ada("data", "show", "train", "--version", "1", "--json", **environment).stdout)
    assert (first["sample_count"], first["creator"]) == (10, "ada")
    latest = ada("data", "show", "train", "--latest", **environment)
    assert latest.stdout.splitlines()[:3] == ["Name:        train", "Version:     2", "Samples:     20"]
    [listed] = json.loads(ada("data", "list", "--json", **environment).stdout)
    assert listed["local"]["fingerprint"] == listed["latest"]["fingerprint"]
    assert listed["version_count"] == 2

    another = ada("data", "pull", "train", "--version", "1", **environment)
    assert (another.code, another.stderr) == (
        1,
        error(
            f"{folder} has another dataset, or another version of this one",
            "Pull into another root, or move that folder away.",
        ),
    )
    elsewhere = {**environment, "BENCH_DATA_ROOT": str(ada.work / "elsewhere")}
    pulled = ada("data", "pull", "train", "--version", "1", **elsewhere)
    into = f"train, version 1, is in {ada.work}/elsewhere/train; "
    assert (pulled.code, pulled.stdout.startswith(into)) == (0, True)
    assert (
        ada("data", "pull", "train", "--version", "1", **elsewhere).stdout
        == f"{into}nothing had to be fetched.\n"
    )
    assert ada("data", "pull", "train", "--version", "1", "-q", **elsewhere).stdout == (
        f"{ada.work}/elsewhere/train\n"
    )
    differing = ada("data", "list", **elsewhere).stdout.splitlines()[1]
    assert differing.rstrip().endswith("yes   version 2, differs")

    asked = ada("data", "delete", "train", **environment)
    question = f"Delete train with 2 versions from the project {project}?"
    assert asked == Result(
        1, "", error(f"there is no terminal to ask at: {question}", "With --yes it is done without asking.")
    )
    assert ada("data", "delete", "train", "--version", "1", "--yes", **environment) == Result(
        0, f"Deleted version 1 of train from the project {project}.\n", ""
    )
    assert ada("data", "versions", "train", "-q", **environment) == Result(0, "2\n", "")
    assert ada("data", "delete", "train", "--yes", **environment) == Result(
        0, f"Deleted train with 1 version from the project {project}.\n", ""
    )
    for command in (["versions", "train"], ["delete", "train", "--yes"], ["pull", "other"]):
        gone = ada("data", *command, **environment)
        assert (gone.code, gone.stdout, gone.stderr[:7]) == (1, "", "Error: ")


def test_a_bar_on_a_terminal(ada: Cli, project: str) -> None:
    write(ada, "train")
    with ada.in_terminal("data", "push", "train", "--project", project, columns=120) as terminal:
        code, shown = finish(terminal)
    assert code == 0
    assert "Pushing train" in shown
    assert f"train is version 1 in {project}; " in shown.splitlines()[-1]
    write(ada, "narrow")
    with ada.in_terminal("data", "push", "narrow", "--project", project, columns=40) as terminal:
        code, shown = finish(terminal)
    assert (code, "━" in shown, "Pushing narrow" in shown) == (0, False, True)
    write(ada, "valid")
    with ada.in_terminal("data", "push", "valid", "--project", project, "--quiet") as terminal:
        assert finish(terminal) == (0, "1\n")


def test_a_server_that_is_away(ada: Cli, server: Server) -> None:
    write(ada, "train")
    away = ada("data", "list", "--project", "x", BENCH_ENDPOINT="http://localhost:1", BENCH_TOKEN="bench_p_x")
    assert (away.code, away.stderr.count("\n")) == (1, 2)
    assert away.stderr.startswith("Error: the server cannot be reached (")


def test_usage(cli: Cli) -> None:
    assert cli("data", "show", "train", "--latest", "--version", "1") == Result(
        2, "", error("--version and --latest exclude each other", "See: bench data show --help")
    )
    assert cli("data", "pull", "train", "--version", "0") == Result(
        2,
        "",
        error("invalid value for '--version': 0 is not in the range x>=1", "See: bench data pull --help"),
    )
