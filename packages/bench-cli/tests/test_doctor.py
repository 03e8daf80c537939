"""`bench doctor`, and each of its lines."""

import datetime
import json
import os
import stat
import sys
from pathlib import Path

import pytest
from bench_cli import diagnosis
from bench_cli.diagnosis import FAIL, OK, WARN, Check
from cli_tools import Cli, Result, Server


def program(folder: Path, name: str, *lines: str) -> None:
    path = folder / name
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def tools(cli: Cli) -> Path:
    """The only folder on the PATH; a project's interpreter that is quick to say what it has."""
    folder = cli.home / "bin"
    folder.mkdir()
    cli.environment["PATH"] = str(folder)
    del cli.environment["VIRTUAL_ENV"]
    found = {"version": "3.12.1", "torch": "2.9.0", "cuda": True, "problem": None}
    program(folder, "python3", f"echo '{json.dumps(found)}'")
    return folder


def test_all_is_well(cli: Cli, server: Server, tools: Path) -> None:
    cli.with_login(server, "ada")
    program(tools, "docker", "echo 29.0.1")
    program(tools, "nvidia-smi", "echo 'NVIDIA H100, 81559 MiB'")
    shown = cli("doctor")
    lines = shown.stdout.splitlines()
    disk = lines.pop(4)
    assert disk.startswith(("ok    disk      ", "warn  disk      "))
    assert (shown.code, shown.stderr) == (0, "")
    assert lines == [
        f"ok    python    3.12.1 ({tools}/python3)",
        "ok    torch     2.9.0, with a GPU that it can use",
        "ok    docker    29.0.1",
        "ok    gpu       NVIDIA H100, 81559 MiB",
        f"ok    server    {server.endpoint} answers",
        "ok    clock     as the server's",
        "ok    versions  0.1.0, here and at the server",
        "ok    login     as ada",
    ]


def test_little_is_well(cli: Cli, tools: Path) -> None:
    program(tools, "docker", "echo 'Cannot connect to the Docker daemon' >&2", "exit 1")
    program(
        tools, "python3", """echo '{"version": "3.9.2", "torch": null, "cuda": false, "problem": null}'"""
    )
    environment = {"BENCH_ENDPOINT": "http://localhost:1"}
    shown = cli("doctor", "--json", **environment)
    document = json.loads(shown.stdout)
    assert (shown.code, shown.stderr, document["ok"]) == (1, "", False)
    states = {check["name"]: check["state"] for check in document["checks"] if check["name"] != "disk"}
    assert states == {"python": FAIL, "torch": WARN, "docker": WARN, "gpu": WARN, "server": FAIL}
    human = cli("doctor", **environment).stdout.splitlines()
    assert human[:4] == [
        f"fail  python    3.9.2 ({tools}/python3) -> Make the project's environment with 3.10 or later.",
        f"warn  torch     {tools}/python3 has none -> Training needs it: pip install torch",
        "warn  docker    Cannot connect to the Docker daemon -> "
        "Start it, or join its group: sudo usermod -aG docker $USER",
        "warn  gpu       no NVIDIA driver -> Without one, training uses the CPU.",
    ]
    quiet = cli("doctor", "--quiet", **environment)
    assert [name for name in quiet.stdout.split() if name != "disk"] == list(states)


def test_a_login_that_is_missing_is_no_failure(cli: Cli, server: Server, tools: Path) -> None:
    shown = cli("doctor", "--endpoint", server.endpoint)
    assert shown.stdout.splitlines()[-1] == (
        f"warn  login     there is no login at {server.endpoint} -> Log in: `bench login`."
    )
    assert shown.code == 0


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["exit 3"], "fails with 3"),
        (["echo nonsense"], "it does not say what it is"),
        (["true"], "it does not say what it is"),
    ],
)
def test_an_interpreter_that_does_not_work(cli: Cli, tools: Path, lines: list[str], text: str) -> None:
    program(tools, "python3", *lines)
    [python, *_] = json.loads(cli("doctor", "--json", BENCH_ENDPOINT="http://localhost:1").stdout)["checks"]
    assert (python["name"], python["state"], python["text"].endswith(text)) == ("python", FAIL, True)


def test_an_interpreter_that_is_not_there(cli: Cli, tools: Path) -> None:
    shown = cli("doctor", VIRTUAL_ENV="/nowhere", BENCH_ENDPOINT="http://localhost:1").stdout.splitlines()[0]
    assert shown == (
        "fail  python    the project's interpreter /nowhere/bin/python cannot be run -> "
        "Activate the project's environment."
    )


def test_torch_that_does_not_import(cli: Cli, tools: Path) -> None:
    (cli.work / "torch.py").write_text("raise OSError('libcudart.so: cannot open')")
    environment = {"VIRTUAL_ENV": sys.prefix, "PYTHONPATH": os.fspath(cli.work)}
    [_, torch, *_] = json.loads(
        cli("doctor", "--json", BENCH_ENDPOINT="http://localhost:1", **environment).stdout
    )["checks"]
    assert (torch["state"], torch["text"]) == (FAIL, "it does not import: OSError: libcudart.so: cannot open")


def test_clocks_that_differ() -> None:
    now = 1_800_000_000.0
    there = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
    advice = "Switch on time synchronisation (NTP) on both."
    assert diagnosis._clock(there, now + 59) == Check("clock", OK, "as the server's")
    ahead = Check("clock", WARN, "this machine is 61 s ahead of the server", advice)
    assert diagnosis._clock(there, now + 61) == ahead
    behind = Check("clock", WARN, "this machine is 3600 s behind the server", advice)
    assert diagnosis._clock(there, now - 3600) == behind


def test_versions_that_differ() -> None:
    differing = Check("versions", WARN, "0.1.0 here, 0.2.0 at the server", "Update the older one.")
    assert diagnosis._versions("0.2.0") == differing


def test_help_says_what_the_exit_code_means(cli: Cli) -> None:
    shown = cli("doctor", "--help")
    assert isinstance(shown, Result)
    assert "The exit code is 1 if one fails" in " ".join(shown.stdout.split())
