"""A new project, registered on a real server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bench_auth
import pytest
from agent_tools import Server, running_server
from bench_core import ProjectFileError, read_project
from bench_deploy import ScaffoldError, start_project

FILES = (
    "bench.toml",
    "Datasets/ProjectDatasets.py",
    "Datasets/__init__.py",
    "Models/ProjectModels.py",
    "Models/__init__.py",
    "README.md",
    "TrainScript.py",
    ".benchignore",
    ".gitignore",
    "manage.py",
    "requirements.txt",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.mark.usefixtures("server")
def test_a_new_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    started = start_project("catdog")
    assert started.folder == tmp_path / "catdog"
    assert (started.written, started.kept) == (FILES, ())
    present = sorted(str(path.relative_to(started.folder)) for path in started.folder.rglob("*"))
    assert present == sorted([*FILES, "Datasets", "Models"])
    settings = read_project(started.folder)
    assert (settings.id, settings.name) == (started.id, "catdog")
    assert (started.folder / "README.md").read_text().startswith("# catdog\n")


@pytest.mark.usefixtures("server")
def test_a_folder_that_is_there_is_adopted(tmp_path: Path) -> None:
    (tmp_path / "TrainScript.py").write_text("mine")
    (tmp_path / ".gitignore").symlink_to("nowhere")
    started = start_project("adopted", tmp_path)
    assert started.kept == ("TrainScript.py", ".gitignore")
    assert (tmp_path / "TrainScript.py").read_text() == "mine"
    again = start_project("another name", tmp_path)  # the folder says which project it is
    assert (again.id, again.name, again.written) == (started.id, "adopted", ())


@pytest.mark.usefixtures("server")
def test_what_broke_off_goes_on(tmp_path: Path) -> None:
    started = start_project("broken", tmp_path / "broken")
    for path in started.written:  # as if nothing had been written after the project was registered
        (started.folder / path).unlink()
    assert start_project("broken", tmp_path / "broken").id == started.id


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("name", ["my cats-and_dogs 2.0", "Café déjà vu", "猫と犬"])
def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    started = start_project(name)
    assert started.folder == tmp_path / name
    assert read_project(started.folder).name == name


@pytest.mark.usefixtures("server")
def test_a_name_that_is_taken(tmp_path: Path) -> None:
    first = start_project("taken", tmp_path / "one")
    with pytest.raises(bench_auth.AlreadyExistsError) as caught:
        start_project("taken", tmp_path / "two")
    assert caught.value.message == "you made a project 'taken' before"
    assert caught.value.hint == f"Take another name, or make this folder that project with --id {first.id}."
    assert list((tmp_path / "two").iterdir()) == []
    assert start_project("taken", tmp_path / "two", project_id=first.id).id == first.id


@pytest.mark.usefixtures("server")
def test_folders_that_will_not_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ScaffoldError) as caught:
        start_project("in a file", tmp_path / "file")
    assert caught.value.message == f"{tmp_path / 'file'}: File exists"
    started = start_project("first", tmp_path / "first")
    other = "0192f0c1-7a3b-7c55-9d2e-0f6b1c2d3e4f"
    with pytest.raises(ScaffoldError) as caught:
        start_project("second", started.folder, project_id=other)
    assert caught.value.message == f"{started.folder} is project {started.id}, and not {other}"
    (started.folder / "bench.toml").write_text("[project]\nid = 3\n")
    with pytest.raises(ProjectFileError):
        start_project("first", started.folder)
    assert (started.folder / "bench.toml").read_text() == "[project]\nid = 3\n"


@pytest.mark.usefixtures("server")
def test_a_project_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "bench.toml").write_text(
        '[project]\nid = "0192f0c1-7a3b-7c55-9d2e-0f6b1c2d3e4f"\nname = "theirs"\n'
    )
    with pytest.raises(bench_auth.NotFoundError) as caught:
        start_project("theirs", tmp_path)
    assert "you are no member of it" in caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["bench.toml"]


def test_nobody_is_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CONFIG_DIR", str(tmp_path / "config"))
    with pytest.raises(bench_auth.NotLoggedInError):
        start_project("catdog", tmp_path / "catdog")
    assert not (tmp_path / "catdog").exists()


@pytest.mark.usefixtures("server")
def test_it_trains_as_it_is_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    folder = start_project("it trains", tmp_path / "it trains").folder
    environment = {name: value for name, value in os.environ.items() if name != "BENCH_PROJECT"}

    def python(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    python("-m", "Datasets.ProjectDatasets")
    first = python("TrainScript.py", "--epochs", "1", "--workers", "0").splitlines()
    assert [line.split(":")[0] for line in first] == ["epoch 0"]
    second = python("TrainScript.py", "--epochs", "2", "--workers", "0").splitlines()
    checkpoint = Path("output", "checkpoints", "step-000000029", "state.pt")
    assert second[0] == f"{folder / checkpoint}: going on behind step 29"
    assert second[1].startswith("epoch 1: loss ")
    assert float(second[1].rpartition(" ")[2]) > 0.8  # it has learnt something

    script, saves = folder / "TrainScript.py", "            run.checkpoint(parts, step=step, every"
    stops = "            step == 87 and os.kill(os.getpid(), signal.SIGTERM)  # at the last batch\n"
    stopping = script.read_text().replace("import argparse", "import argparse, os, signal")
    script.with_name("Stopping.py").write_text(stopping.replace(saves, stops + saves))
    python("Stopping.py", "--epochs", "3", "--workers", "0", code=143)
    third = python("TrainScript.py", "--epochs", "3", "--workers", "0").splitlines()
    assert third[0].endswith(": going on behind step 87")
    assert third[1].startswith("epoch 2: accuracy ")  # no batch was left whose loss it could say
