"""Where a file goes whose path comes from a training."""

import os
from pathlib import Path

import pytest
from bench_deploy import ArtifactError
from bench_deploy.artifact_file import ArtifactFile

TIME_NS = 1_700_000_000_123_456_000


def fetch(folder: Path, path: str, data: bytes) -> None:
    with ArtifactFile(folder, path, len(data), TIME_NS) as file:
        file.write(data[file.offset :])
        file.finish()


def test_a_file_appears_whole_and_once(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "results"
    fetch(folder, "output/a/model.pt", b"weights")
    path = folder / "output" / "a" / "model.pt"
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (b"weights", TIME_NS)
    assert os.listdir(path.parent) == ["model.pt"]
    with ArtifactFile(folder, "output/a/model.pt", 7, TIME_NS) as there:
        assert there.is_there
    with ArtifactFile(folder, "output/a/model.pt", 7, TIME_NS + 1_000) as changed:
        assert (changed.is_there, changed.offset) == (False, 0)
        changed.write(b"WEIGHTS")
        changed.finish()
    assert path.read_bytes() == b"WEIGHTS"


def test_a_part_is_gone_on_with(tmp_path: Path) -> None:
    with ArtifactFile(tmp_path, "work/log", 6, TIME_NS) as file:
        file.write(b"abc")
        with pytest.raises(ArtifactError), ArtifactFile(tmp_path, "work/log", 6, TIME_NS):
            pass  # two at a time would mix their bytes
    assert not (tmp_path / "work" / "log").exists()
    with ArtifactFile(tmp_path, "work/log", 6, TIME_NS) as file:
        assert file.offset == 3
        file.write(b"def")
        file.finish()
    assert (tmp_path / "work" / "log").read_bytes() == b"abcdef"


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x", "output/../../x", "output//x", "output/.", "output/", "./x", "output/a\0b"],
)
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "in"
    with pytest.raises(ArtifactError, match="no path inside of a folder"):
        ArtifactFile(folder, path, 1, TIME_NS)
    assert os.listdir(tmp_path) == []


def test_links_are_not_followed(tmp_path: Path) -> None:
    folder, outside = tmp_path / "in", tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("kept")
    (folder / "output").mkdir(parents=True)
    (folder / "output" / "away").symlink_to(outside)
    (folder / "output" / "file").symlink_to(outside / "precious")
    with pytest.raises(ArtifactError, match="'output/away/x' cannot be kept here"):
        ArtifactFile(folder, "output/away/x", 1, TIME_NS)
    fetch(folder, "output/file", b"new")  # takes the link's place
    assert (folder / "output" / "file").read_text() == "new"
    assert sorted(os.listdir(outside)) == ["precious"]
    assert (outside / "precious").read_text() == "kept"


def test_what_is_in_the_way_stays(tmp_path: Path) -> None:
    (tmp_path / "output" / "x").mkdir(parents=True)
    with pytest.raises(ArtifactError, match="cannot be kept here"):
        fetch(tmp_path, "output/x", b"data")
    assert (tmp_path / "output" / "x").is_dir()
