import sys
from pathlib import Path

import pytest
from bench_core import ProjectSettings
from bench_deploy import MigrateError, project_python

ID = "0192f0c1-7a3b-7c55-9d2e-0f6b1c2d3e4f"


def program(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    path.chmod(0o755)
    return str(path)


def settings(python: str | None) -> ProjectSettings:
    return ProjectSettings(id=ID, name="x", python=python)


def test_which_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "nothing"))
    assert project_python(tmp_path, settings(None)) == sys.executable
    conda = program(tmp_path / "conda" / "bin" / "python")
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "conda"))
    assert project_python(tmp_path, settings(None)) == conda
    active = program(tmp_path / "active" / "bin" / "python")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "active"))
    assert project_python(tmp_path, settings(None)) == active
    own = program(tmp_path / ".venv" / "bin" / "python")
    assert project_python(tmp_path, settings(".venv/bin/python")) == own
    named = program(tmp_path / "path" / "python3.99")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert project_python(tmp_path, settings("python3.99")) == named
    with pytest.raises(
        MigrateError, match=r"bench\.toml says python = 'python3', and there is no such program"
    ):
        project_python(tmp_path, settings("python3"))
