"""`bench open`."""

import json
import re
from urllib.parse import urlencode

import pytest
from cli_tools import Cli, Result, error


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["projects"], "/"),
        (["tokens"], "/account/tokens"),
        ([], "/projects/{id}"),
        (["project"], "/projects/{id}"),
        (["members"], "/projects/{id}/members"),
    ],
)
def test_the_link(ada: Cli, project: str, arguments: list[str], path: str) -> None:
    project_id = json.loads(ada("project", "show", project, "--json").stdout)["id"]
    shown = ada("open", *arguments, "--link", BENCH_PROJECT=project)
    assert (shown.code, shown.stderr) == (0, "")
    query = urlencode({"next": path.format(id=project_id)})
    assert re.fullmatch(rf"http://localhost:\d+/sign-in/link\?{query}#\S+\n", shown.stdout)
    document = json.loads(ada("open", *arguments, "--json", BENCH_PROJECT=project).stdout)
    assert sorted(document) == ["expire_time", "url"]


def test_without_a_browser_the_link_is_printed(ada: Cli) -> None:
    shown = ada("open")
    assert (shown.code, shown.stderr) == (0, "There is no browser here. Open this within a minute:\n")
    assert shown.stdout.startswith("http://localhost:")
    assert ada("open", "-q").stderr == ""


def test_a_browser_gets_the_link(ada: Cli) -> None:
    browser, seen = ada.home / "browser", ada.home / "seen"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > "{seen}.part"\nmv "{seen}.part" "{seen}"\n')
    browser.chmod(0o700)
    shown = ada("open", DISPLAY=":0", BROWSER=str(browser))
    assert shown == Result(0, "Opened the dashboard in your browser.\n", "")
    assert seen.read_text().startswith("http://localhost:")


def test_a_login_is_needed(cli: Cli) -> None:
    needed = error("there is no login at http://localhost:8470", "Log in: `bench login`.")
    assert cli("open") == Result(4, "", needed)
