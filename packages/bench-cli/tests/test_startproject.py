"""`bench startproject`, and the flags of `bench-kit`."""

import json
import re
from pathlib import Path

import pytest
from bench_core import read_project
from cli_tools import PASSWORD, Cli, Result, Server, error, finish


def test_a_new_project(ada: Cli, tmp_path: Path) -> None:
    name = f"Käse & Hunde {tmp_path.name}"[:60]
    refused = ada("startproject", name)
    assert (refused.code, refused.stderr[:7]) == (1, "Error: ")  # the server takes no such name
    name = "Cats and dogs - 2"
    started = ada("startproject", name)
    folder = ada.work / name
    count = sum(path.is_file() for path in folder.rglob("*"))
    assert started == Result(
        0,
        f"{name} is in {folder}: {count} files written.\n",
        f"Next: cd '{name}' && python manage.py --makemigrations\n",
    )
    project_id = read_project(folder).id
    again = json.loads(ada("startproject", name, "--json").stdout)
    assert (again["id"], again["folder"], again["written"], len(again["kept"])) == (
        project_id,
        str(folder),
        [],
        count,
    )
    clone = ada("startproject", name, "a clone", "--id", project_id, "-q")
    assert clone == Result(0, f"{project_id}\n", "")
    taken = ada("startproject", name, "elsewhere")
    assert (taken.code, taken.stderr.count("\n")) == (1, 2)
    assert f"--id {project_id}" in taken.stderr


def test_nobody_is_logged_in(cli: Cli, server: Server) -> None:
    environment = {"BENCH_ENDPOINT": server.endpoint}
    needed = error(f"there is no login at {server.endpoint}", "Log in: `bench login`.")
    assert cli("startproject", "catdog", **environment) == Result(4, "", needed)
    assert list(cli.work.iterdir()) == []


def test_who_is_not_logged_in_is_asked(cli: Cli, server: Server) -> None:
    kit = Cli(cli.home.parent, "bench_cli.kit")
    with kit.in_terminal("--startproject", "asked", BENCH_ENDPOINT=server.endpoint) as terminal:
        terminal.expect_exact(f"A login is needed: there is no login at {server.endpoint}.\r\n")
        terminal.expect_exact("Username: ")
        terminal.sendline("ada")
        terminal.expect_exact("Password: ")
        terminal.sendline(PASSWORD)
        code, shown = finish(terminal)
    pattern = (
        rf"\nLogged in as ada at {server.endpoint}\.\n"
        rf"asked is in {re.escape(str(cli.work))}/asked: \d+ files written\.\n"
        r"Next: cd asked && python manage\.py --makemigrations\n"
    )
    assert code == 0
    assert re.fullmatch(pattern, shown)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--version"], Result(0, "bench-kit 0.1.0\n", "")),
        (
            ["--startproject", "x", "--logout"],
            Result(2, "", error("--startproject and --logout exclude each other", "See: bench-kit --help")),
        ),
        (
            ["--startproject"],
            Result(2, "", error("option '--startproject' requires an argument", "See: bench-kit --help")),
        ),
        (
            ["--logout"],
            Result(4, "", error("there is no login at http://localhost:8470", "Log in: `bench login`.")),
        ),
    ],
)
def test_the_flags_of_bench_kit(cli: Cli, arguments: list[str], expected: Result) -> None:
    assert Cli(cli.home.parent, "bench_cli.kit")(*arguments) == expected


def test_help_of_bench_kit(cli: Cli) -> None:
    kit = Cli(cli.home.parent, "bench_cli.kit")
    assert kit() == kit("--help")
    assert kit().stdout.startswith("Usage: bench-kit [OPTIONS]\n")
