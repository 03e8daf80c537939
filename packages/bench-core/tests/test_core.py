import os
import pickle
from pathlib import Path

import bench_core
import pytest
from bench_core import BenchError, atomic_write, data_root, find_project, start_writeback, sync_folder


def test_exports_are_sorted_and_there() -> None:
    assert bench_core.__all__ == sorted(
        bench_core.__all__, key=lambda n: (not n.isupper(), n[0].islower(), n)
    )
    assert all(hasattr(bench_core, name) for name in bench_core.__all__)


class WithField(BenchError):
    def __init__(self, message: str, index: int) -> None:
        super().__init__(message, hint=f"Look at {index}.")
        self.index = index


def test_an_error_shows_its_hint() -> None:
    assert str(BenchError("it broke", hint="Mend it.")) == "it broke\nHint: Mend it."
    assert str(BenchError("it broke")) == "it broke"


def test_an_error_survives_pickling_whole() -> None:
    error = pickle.loads(pickle.dumps(WithField("broke", 7)))
    assert (type(error), error.message, error.hint, error.index) == (WithField, "broke", "Look at 7.", 7)
    assert error.args == ("broke",)


def test_atomic_write_replaces_the_whole_content(tmp_path: Path) -> None:
    path = tmp_path / "Ünï code.json"
    for data in (b"a" * 1000, b"", b"new"):
        atomic_write(path, data)
        assert path.read_bytes() == data
    assert os.listdir(tmp_path) == [path.name]


def test_a_failed_atomic_write_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_atomic_write_syncs_the_file_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def record_sync(descriptor: int) -> None:
        calls.append("sync folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "sync file")
        fsync(descriptor)

    def record_replace(source: Path, target: Path) -> None:
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "replace", record_replace)
    atomic_write(tmp_path / "file", b"data")
    assert calls == ["sync file", "rename", "sync folder"]
    calls.clear()
    atomic_write(tmp_path / "file", b"data", durable=False)
    assert calls == ["rename"]


def test_writeback_changes_nothing_that_can_be_seen(tmp_path: Path) -> None:
    with open(tmp_path / "file", "w+b") as file:
        file.write(b"data")
        file.flush()
        start_writeback(file.fileno(), 0, 4)
        file.seek(0)
        assert file.read() == b"data"
    sync_folder(tmp_path)


def test_the_root_given_wins_then_the_variable_then_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = tmp_path / "project" / "deep" / "below"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    monkeypatch.delenv("BENCH_DATA_ROOT", raising=False)
    assert find_project() is None
    assert data_root() == below / ".bench" / "datasets"
    (tmp_path / "project" / "bench.toml").touch()
    assert find_project() == tmp_path / "project"
    assert data_root() == tmp_path / "project" / ".bench" / "datasets"
    monkeypatch.setenv("BENCH_DATA_ROOT", "elsewhere")
    assert data_root() == below / "elsewhere"
    assert data_root("given") == below / "given"
    monkeypatch.setenv("BENCH_DATA_ROOT", "")
    assert data_root() == tmp_path / "project" / ".bench" / "datasets"


def test_the_nearest_project_wins(tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "bench.toml").touch()
    assert find_project(inner) == inner
    assert find_project(inner.parent) == inner.parent


def test_a_secret_is_never_readable_by_others(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        atomic_write(tmp_path / "secret", b"x", mode=0o600)
        atomic_write(tmp_path / "plain", b"x")
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("secret", "plain")] == [0o600, 0o666]
