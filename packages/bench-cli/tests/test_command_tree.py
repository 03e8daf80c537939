"""What holds for every command: help, imports, names."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from bench_cli.app import bench
from bench_cli.command import Command
from bench_cli.lazy import Entry, LazyGroup
from bench_cli.main import main
from cli_tools import Cli, Result, error

HEAVY = ["bench_auth", "bench_data", "bench_server", "django", "docker", "grpc", "numpy", "rich", "torch"]


def entries(group: LazyGroup, path: str) -> Iterator[tuple[str, Entry, click.Command]]:
    for name, entry in group.entries.items():
        found = entry.load()
        yield f"{path} {name}", entry, found
        if isinstance(found, LazyGroup):
            yield from entries(found, f"{path} {name}")


ALL = list(entries(bench, "bench"))


@pytest.mark.parametrize(("path", "entry", "found"), ALL, ids=[path for path, _, _ in ALL])
def test_a_command_is_what_its_entry_says(path: str, entry: Entry, found: click.Command) -> None:
    assert found.name == path.split()[-1]
    assert found.help is not None
    assert found.help.splitlines()[0] == entry.summary
    if isinstance(found, Command):
        assert all(example.split("bench", 1)[1] for example in found.examples)
        assert any(example.startswith(path) for example in found.examples) or path == "bench completion"


@pytest.fixture
def own_umask() -> Iterator[None]:
    """`bench server` sets the process's, which is that of all tests here."""
    before = os.umask(0)
    os.umask(before)
    yield
    os.umask(before)


@pytest.mark.usefixtures("own_umask")
@pytest.mark.parametrize("width", [80, 40])
@pytest.mark.parametrize("path", ["bench", *(path for path, _, _ in ALL)])
def test_help_fits_the_terminal(
    path: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main([*path.split()[1:], "--help"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.startswith(f"Usage: {path} ")
    text, _, examples = shown.out.partition("Examples:")
    assert max(map(len, text.splitlines())) <= width
    assert all(len(line) <= 80 for line in examples.splitlines())


def test_help_imports_nothing_heavy() -> None:
    """`./run bench` measures the time; this holds what would cost it."""
    code = (
        "import json, sys\nfrom bench_cli.main import main\nassert main(['--help']) == 0\n"
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout.splitlines()[-1]) == []


def test_help(cli: Cli) -> None:
    shown = cli("--help")
    assert cli() == shown  # alone it is help
    assert shown == Result(0, HELP, "")


HELP = """\
Usage: bench [OPTIONS] COMMAND [ARGS]...

  From a folder to a training run and a served model, on machines you own.

Options:
  --version  Show the version and exit.
  --help     Show this message and exit.

Your path:
  login         Log in to a server.
  logout        Log out of a server.
  whoami        Show who is logged in, and where.
  startproject  Start a project: register it and write its first files.
  migrate       Bring the project's datasets and code to the server.
  run           Train the project on its server.
  logs          Show what a run says.
  metrics       Show what a run has logged.
  checkpoints   List the checkpoints that a run has made, or fetch one.
  batch         Write the samples that a run had at a step to a folder.
  stop          Ask a run to end.
  resume        Start a new attempt of a run that has ended.
  open          Open the dashboard, signed in.

Things:
  project  Projects and their members.
  version  What was migrated: versions of a project.
  runs     Runs of a project, and what they left.
  track    Runs that were started without the server.
  secret   Secrets that runs are given: keys and passwords.
  data     Datasets, here and on the server.

This machine:
  deploy      Images and containers of runs, without a server.
  server      Run a server on this machine.
  config      Show and change settings.
  doctor      Look for what is wrong on this machine.
  completion  Print the script that completes commands.

  Every command has --help, with examples.
"""


def test_version(cli: Cli) -> None:
    assert cli("--version") == Result(0, "bench 0.1.0\n", "")


@pytest.mark.parametrize(
    ("arguments", "message", "path"),
    [
        (["frobnicate"], "no such command 'frobnicate'", "bench"),
        (["lgin"], "no such command 'lgin'. Did you mean 'login'?", "bench"),
        (["--frob"], "no such option '--frob'", "bench"),
        (["data", "lst"], "no such command 'lst'. Did you mean 'list'?", "bench data"),
        (
            ["login", "--endpont", "x"],
            "no such option '--endpont'. Did you mean '--endpoint'?",
            "bench login",
        ),
        (["data", "push"], "missing argument 'NAME'", "bench data push"),
        (["whoami", "--json", "--quiet"], "--json and --quiet exclude each other", "bench whoami"),
        (["stop"], "missing argument 'RUN'", "bench stop"),
        (["run", "-f", "--json"], "--follow and --json exclude each other", "bench run"),
        (
            ["run", "--env", "LR"],
            "invalid value for '--env': 'LR' is no NAME=VALUE",
            "bench run",
        ),
        (
            ["run", "--memory", "much"],
            "invalid value for '--memory': memory is 'much', which is no size. "
            'Such as "16GB", "16GiB" or "512MB"',
            "bench run",
        ),
        (["logs", "--since", "1", "--tail", "1"], "--since and --tail exclude each other", "bench logs"),
        (["logs", "-f", "--build"], "--follow goes with neither --attempt nor --build", "bench logs"),
        (["whoami", "extra"], "got unexpected extra argument (extra)", "bench whoami"),
    ],
)
def test_usage_errors(cli: Cli, arguments: list[str], message: str, path: str) -> None:
    assert cli(*arguments) == Result(2, "", error(message, f"See: {path} --help"))
