"""`bench project`."""

import json
import re
from pathlib import Path

import pytest
from cli_tools import Cli, Result, Server, error, finish
from test_login import personal_token

UNKNOWN = "01920000-0000-7000-8000-000000000000"


def created_id(result: Result) -> str:
    found = re.fullmatch(r"Made the project [\w-]+, id ([0-9a-f-]{36})\.\n", result.stdout)
    assert (result.code, result.stderr) == (0, "")
    assert found is not None
    return found[1]


def test_create_list_show_delete(ada: Cli) -> None:
    project_id = created_id(ada("project", "create", "catdog"))
    again = ada("project", "create", "catdog")
    assert (again.code, again.stdout) == (1, "")
    assert again.stderr.startswith("Error: ")

    shown = ada("project", "show", "catdog")
    made = re.search(r"Made: +(.+)\n", shown.stdout)
    assert made is not None
    assert shown == Result(
        0,
        "Name:      catdog\n"
        f"Id:        {project_id}\n"
        "Your role: owner\n"
        f"Made:      {made[1]}\n"
        "Size:      0 B\n"
        "May take:  no limit\n"
        "Members:   ada\n"
        "Datasets:  none\n",
        "",
    )
    assert (
        ada("project", "show", "--json", BENCH_PROJECT=project_id).stdout
        == ada("project", "show", "catdog", "--json").stdout
    )
    listed = json.loads(ada("project", "list", "--json").stdout)
    [mine] = [project for project in listed if project["name"] == "catdog"]
    assert mine == {
        "id": project_id,
        "name": "catdog",
        "role": "owner",
        "create_time": mine["create_time"],
        "stored_bytes": 0,
        "quota_bytes": None,
    }
    rows = ada("project", "list").stdout.splitlines()
    assert rows[0].split() == ["NAME", "ROLE", "SIZE", "MADE", "ID"]
    assert f"catdog owner 0 B {made[1]} {project_id}" in [" ".join(row.split()) for row in rows]
    assert "catdog" in ada("project", "list", "-q").stdout.splitlines()

    question = "Delete the project catdog (0 datasets, 0 B) for all its members?"
    assert ada("project", "delete", "catdog") == Result(
        1, "", error(f"there is no terminal to ask at: {question}", "With --yes it is done without asking.")
    )
    for answer, expected in (
        ("n", (1, "\n" + error("nothing was done, as you said no"))),
        ("y", (0, "\nDeleted the project catdog.\n")),
    ):
        with ada.in_terminal("project", "delete", "catdog") as terminal:
            terminal.expect_exact("[y/N]: ")
            assert " ".join(terminal.before.split()) == question
            terminal.sendline(answer)
            code, shown_text = finish(terminal)
            assert (code, shown_text.removeprefix(answer)) == expected
    gone = ada("project", "show", "catdog")
    assert (gone.code, gone.stderr.splitlines()[1]) == (1, "Hint: `bench project list` shows yours.")


def test_delete_without_asking(ada: Cli, project: str) -> None:
    assert ada("project", "delete", project, "--yes") == Result(0, f"Deleted the project {project}.\n", "")


def test_members(ada: Cli, server: Server, project: str) -> None:
    ada(
        "server",
        "createuser",
        "bob",
        "--password-stdin",
        "--data",
        str(server.data),
        stdin="a long enough word\n",
    )
    environment = {"BENCH_PROJECT": project}
    assert ada("project", "members", "add", "bob", **environment) == Result(
        0, f"bob is a member of {project}.\n", ""
    )
    assert ada("project", "members", "role", "bob", "owner", "--project", project) == Result(
        0, f"bob is an owner of {project}.\n", ""
    )
    listed = ada("project", "members", "list", **environment)
    rows = [row.split()[:2] for row in listed.stdout.splitlines()]
    assert rows == [["NAME", "ROLE"], ["ada", "owner"], ["bob", "owner"]]
    document = json.loads(ada("project", "members", "list", "--json", **environment).stdout)
    assert [(member["username"], member["role"]) for member in document] == [
        ("ada", "owner"),
        ("bob", "owner"),
    ]
    assert ada("project", "members", "list", "-q", **environment) == Result(0, "ada\nbob\n", "")
    assert ada("project", "members", "remove", "bob", **environment) == Result(
        1,
        "",
        error(
            f"there is no terminal to ask at: Remove bob from the project {project}?",
            "With --yes it is done without asking.",
        ),
    )
    assert ada("project", "members", "remove", "bob", "--yes", **environment) == Result(
        0, f"bob is no member of {project} any more.\n", ""
    )
    assert ada("project", "members", "role", "bob", "owner", **environment) == Result(
        1, "", error(f"bob is no member of {project}", "Add them: bench project members add bob")
    )
    last = ada("project", "members", "role", "ada", "member", **environment)
    assert (last.code, last.stdout, last.stderr[:7]) == (1, "", "Error: ")
    nobody = ada("project", "members", "add", "nobody", **environment)
    assert (nobody.code, nobody.stdout, nobody.stderr[:7]) == (1, "", "Error: ")
    assert ada("project", "members", "role", "bob", "king", **environment) == Result(
        2,
        "",
        error(
            "invalid value for '{member|owner}': 'king' is not one of 'member', 'owner'",
            "See: bench project members role --help",
        ),
    )


def test_which_project(ada: Cli, project: str) -> None:
    none = error("no project is named", "Name one with --project; `bench project list` shows them.")
    assert ada("project", "show") == Result(1, "", none)
    unknown = ada("project", "show", UNKNOWN)
    assert (unknown.code, unknown.stderr.splitlines()[0]) == (
        1,
        f"Error: there is no project {UNKNOWN}, or you are no member of it",
    )
    absent = ada("project", "show", "no such")
    assert absent.stderr.startswith("Error: there is no project 'no such' at http://localhost:")

    project_id = json.loads(ada("project", "show", project, "--json").stdout)["id"]
    (ada.work / "bench.toml").write_text(f'[project]\nid = "{project_id}"\nname = "{project}"\n')
    assert ada("project", "show", "-q") == Result(0, f"{project_id}\n", "")  # that of this folder
    (ada.work / "bench.toml").write_text("[project")
    damaged = ada("project", "show")
    assert (damaged.code, damaged.stderr.count("\n")) == (1, 2)
    assert damaged.stderr.startswith(f"Error: {ada.work}/bench.toml is damaged: ")


def test_the_server_of_the_project_file(ada: Cli, server: Server, project: str, tmp_path: Path) -> None:
    token = personal_token(ada, server, tmp_path.name)
    project_id = json.loads(ada("project", "show", project, "--json").stdout)["id"]
    (tmp_path / "elsewhere").mkdir()
    stranger = Cli(tmp_path / "elsewhere")  # whose default is another server
    lines = ["[project]", f'id = "{project_id}"', 'name = "x"', f'endpoint = "{server.endpoint}"']
    (stranger.work / "bench.toml").write_text("\n".join(lines))
    assert stranger("project", "show", "-q", BENCH_TOKEN=token) == Result(0, f"{project_id}\n", "")


def test_a_narrow_terminal_gets_no_table(ada: Cli, project: str) -> None:
    document = json.loads(ada("project", "show", project, "--json").stdout)
    shown = ada("project", "list", COLUMNS="40").stdout.split("\n\n")
    [mine] = [record for record in shown if document["id"] in record]
    lines = [line.split(":", 1)[0] for line in mine.strip().splitlines()]
    assert lines == ["NAME", "ROLE", "SIZE", "MADE", "ID"]


def test_nothing_is_coloured_but_on_a_terminal(ada: Cli, project: str) -> None:
    del ada.environment["NO_COLOR"]
    assert "\x1b" not in ada("project", "list").stdout
    with ada.in_terminal("project", "list", columns=120) as terminal:
        assert "\x1b[1m" in finish(terminal)[1]
    with ada.in_terminal("project", "list", columns=120, NO_COLOR="1", TERM="dumb") as terminal:
        assert "\x1b" not in finish(terminal)[1]


def test_no_projects(cli: Cli, server: Server) -> None:
    made = cli(
        "server",
        "createuser",
        "eve",
        "--password-stdin",
        "--data",
        str(server.data),
        stdin="a long enough word",
    )
    assert made == Result(0, "Made the account eve.\n", "")
    with cli.in_terminal("login", "--endpoint", server.endpoint, "--username", "eve") as terminal:
        terminal.expect("Password: ")
        terminal.sendline("a long enough word")
        finish(terminal)
    none = "You are in no project. Make one: bench project create NAME\n"
    assert cli("project", "list") == Result(0, "", none)
    assert cli("project", "list", "-q") == Result(0, "", "")
    assert cli("project", "list", "--json") == Result(0, "[]\n", "")


def test_help(cli: Cli) -> None:
    assert cli("project", "delete", "--help") == Result(0, HELP, "")


HELP = """\
Usage: bench project delete [OPTIONS] NAME

  Delete a project and all that is in it.

  NAME is its name or id. Only an owner of the project may. Files on this
  machine stay.

Options:
  --yes        Do not ask.
  -q, --quiet  Print names only, and no messages.
  --help       Show this message and exit.

Examples:
  bench project delete catdog
  bench project delete catdog --yes
"""


@pytest.mark.parametrize("command", [["project", "list"], ["data", "versions", "train", "--project", "x"]])
def test_a_login_is_needed(cli: Cli, command: list[str]) -> None:
    needed = error("there is no login at http://localhost:8470", "Log in: `bench login`.")
    assert cli(*command) == Result(4, "", needed)
