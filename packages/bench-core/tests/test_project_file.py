import os
from pathlib import Path

import pytest
from bench_core import ProjectFileError, ProjectSettings, find_project_settings, read_project

ID = "0192f0c1-7a3b-7c55-9d2e-0f6b1c2d3e4f"
GOOD = f'[project]\nid = "{ID}"\nname = "Café déjà"\n'


def problem(folder: Path) -> str:
    with pytest.raises(ProjectFileError) as caught:
        read_project(folder)
    return str(caught.value).replace(str(folder), "HERE")


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(GOOD)
    assert read_project(tmp_path) == ProjectSettings(id=ID, name="Café déjà")
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode() + b'endpoint = "unix:/x"\npython = ".venv/bin/python"')
    expected = ProjectSettings(id=ID, name="Café déjà", endpoint="unix:/x", python=".venv/bin/python")
    assert read_project(tmp_path) == expected


def test_an_id_has_one_spelling() -> None:
    assert ProjectSettings(id=ID.upper().replace("-", ""), name="x").id == ID


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "name = ",
            "HERE/bench.toml is damaged: Invalid value (at end of document)\n"
            "Hint: Mend that place: https://toml.io.",
        ),
        (
            '[project]\nname = "x"\nid "y"',
            "HERE/bench.toml is damaged: Expected '=' after a key in a key/value pair (at line 3, column 4)\n"
            "Hint: Mend that place: https://toml.io.",
        ),
        ("", "HERE/bench.toml: there is no section [project]"),
        ("project = 1", "HERE/bench.toml: there is no section [project]"),
        (
            GOOD + "[projcet]",
            "HERE/bench.toml: unknown section 'projcet'\nHint: Is it meant to be 'project'?",
        ),
        (
            GOOD + 'endpiont = "x"',
            "HERE/bench.toml: unknown key 'endpiont' in [project]\nHint: Is it meant to be 'endpoint'?",
        ),
        (
            GOOD + "xyz = 1",
            "HERE/bench.toml: unknown key 'xyz' in [project]\nHint: Known are: id, name, endpoint, python.",
        ),
        (
            f'[project]\nid = "{ID}"',
            "HERE/bench.toml: [project] has no name\n"
            "Hint: `bench startproject` registers the project and writes it.",
        ),
        (
            '[project]\nname = "x"',
            "HERE/bench.toml: [project] has no id\n"
            "Hint: `bench startproject` registers the project and writes it.",
        ),
        (
            '[project]\nid = "x"\nname = "x"',
            "HERE/bench.toml: id is 'x', and must be a UUID such as 0192f0c1-7a3b-7c55-9d2e-0f6b1c2d3e4f",
        ),
        (
            f'[project]\nid = "{ID}"\nname = 7',
            "HERE/bench.toml: name is 7, and must be a text that is not empty",
        ),
        (
            GOOD + 'python = " "',
            "HERE/bench.toml: python is ' ', and must be a text that is not empty",
        ),
    ],
)
def test_what_a_file_cannot_say(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "bench.toml").write_text(text)
    assert problem(tmp_path) == expected


def test_a_file_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "bench.toml").write_bytes(b'[project]\nname = "Caf\xe9"\n')
    assert problem(tmp_path) == "HERE/bench.toml, line 2: it is not UTF-8\nHint: Save it as UTF-8."


def test_no_file(tmp_path: Path) -> None:
    assert problem(tmp_path) == "HERE/bench.toml: No such file or directory"


def test_the_nearest_project_is_found_from_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = tmp_path / "my project" / "Datasets"
    below.mkdir(parents=True)
    with pytest.raises(ProjectFileError) as caught:
        find_project_settings(below)
    assert str(caught.value) == (
        f"{below} is in no project: there is no bench.toml here or above\n"
        "Hint: Go to a project's folder, or make one: `bench startproject NAME`."
    )
    (below.parent / "bench.toml").write_text(GOOD)
    monkeypatch.chdir(below)
    assert find_project_settings() == (below.parent, ProjectSettings(id=ID, name="Café déjà"))
    assert find_project_settings(os.fspath(below))[0] == below.parent
