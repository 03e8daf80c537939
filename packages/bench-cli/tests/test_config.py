"""`bench config`: where each setting comes from."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from bench_auth.endpoints import EXAMPLES
from cli_tools import Cli, Result, error

PROJECT_ID = "0192f0c1-7a3b-7c55-9d2e-0f6b1c2d3e4f"


def settings(cli: Cli, **environment: str) -> dict[str, tuple[str | None, str, str | None]]:
    shown = cli("config", "show", "--json", **environment)
    assert shown.stderr == ""
    return {each["name"]: (each["value"], each["source"], each["where"]) for each in json.loads(shown.stdout)}


def test_defaults(cli: Cli) -> None:
    credentials = str(cli.home / "bench" / "credentials.json")
    assert settings(cli) == {
        "endpoint": ("http://localhost:8470", "default", None),
        "token": (None, "user file", credentials),
        "project": (None, "default", None),
        "python": (str(Path(sys.prefix, "bin", "python")), "environment", "VIRTUAL_ENV"),
        "data_root": (str(cli.work / ".bench" / "datasets"), "default", None),
    }
    assert cli("config", "show").stdout.splitlines()[0].split() == ["SETTING", "VALUE", "FROM"]
    assert cli("config", "get", "project") == Result(1, "", error("project is not set"))


def test_each_source_goes_before_the_next(cli: Cli) -> None:
    user, file, variable = (f"http://localhost:{port}" for port in (9001, 9002, 9003))
    credentials = str(cli.home / "bench" / "credentials.json")
    assert cli("config", "set", "endpoint", f"{user}/") == Result(
        0, f"endpoint is {user}, from: user file ({credentials}).\n", ""
    )
    assert settings(cli)["endpoint"] == (user, "user file", credentials)

    toml = cli.work / "bench.toml"
    lines = [
        "[project]",
        f'id = "{PROJECT_ID}"',
        'name = "x"',
        f'endpoint = "{file}"',
        'python = "envs/bin/python"',
    ]
    toml.write_text("\n".join(lines))
    found = settings(cli)
    assert found["endpoint"] == (file, "project file", str(toml))
    assert found["project"] == (PROJECT_ID, "project file", str(toml))
    assert found["python"] == (str(cli.work / "envs/bin/python"), "project file", str(toml))
    assert found["data_root"] == (str(cli.work / ".bench/datasets"), "project file", str(toml))
    assert cli("config", "get", "endpoint") == Result(0, f"{file}\n", "")

    named = {
        "BENCH_ENDPOINT": variable,
        "BENCH_PROJECT": "y",
        "BENCH_DATA_ROOT": "/d",
        "BENCH_TOKEN": "secret",
    }
    found = settings(cli, **named)
    assert found["endpoint"] == (variable, "environment", "BENCH_ENDPOINT")
    assert found["project"] == ("y", "environment", "BENCH_PROJECT")
    assert found["data_root"] == ("/d", "environment", "BENCH_DATA_ROOT")
    assert found["token"] == ("set", "environment", "BENCH_TOKEN")
    assert "secret" not in cli("config", "show", **named).stdout
    refused = cli("whoami", "--endpoint", "http://localhost:1", **named)  # a flag goes before all
    assert refused.stderr.startswith("Error: the server cannot be reached (")

    toml.unlink()
    unset = "endpoint is http://localhost:8470, from: default.\n"
    assert cli("config", "unset", "endpoint") == Result(0, unset, "")


def test_the_interpreter_of_the_project(cli: Cli) -> None:
    del cli.environment["VIRTUAL_ENV"]
    conda = {"CONDA_PREFIX": "/conda"}
    assert settings(cli, **conda)["python"] == ("/conda/bin/python", "environment", "CONDA_PREFIX")
    assert settings(cli)["python"] == (shutil.which("python3"), "environment", "PATH")
    assert settings(cli, PATH="/nowhere")["python"] == (sys.executable, "default", None)
    (cli.work / "bench.toml").write_text(f'[project]\nid = "{PROJECT_ID}"\nname = "x"\npython = "sh"\n')
    assert settings(cli)["python"][0] == shutil.which("sh")  # a command is looked for


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["set", "endpoint", "bench.example.org"],
            Result(
                1,
                "",
                error(
                    "'bench.example.org' is no endpoint",
                    EXAMPLES,
                ),
            ),
        ),
        (
            ["set", "project", "x"],
            Result(
                2,
                "",
                error(
                    "invalid value for '{endpoint}': 'project' is not 'endpoint'",
                    "See: bench config set --help",
                ),
            ),
        ),
    ],
)
def test_settings_that_cannot_be(cli: Cli, arguments: list[str], expected: Result) -> None:
    assert cli("config", *arguments) == expected
    assert not (cli.home / "bench" / "credentials.json").exists()


def test_a_damaged_credential_file(cli: Cli) -> None:
    path = cli.home / "bench" / "credentials.json"
    path.parent.mkdir()
    path.write_text("{")
    damaged = error(f"{path} is damaged", "Remove it and log in again.")
    assert cli("config", "show") == Result(1, "", damaged)
