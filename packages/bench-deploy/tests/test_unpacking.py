"""Code comes into a folder that a training may have had before."""

import os
from pathlib import Path

import pytest
from bench_deploy.bundle import packed
from bench_deploy.bundle_plan import plan_bundle
from bench_deploy.unpacking import unpack

USER = (os.getuid(), os.getgid())


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    (project / "Models/deep").mkdir(parents=True)
    (project / "TrainScript.py").write_text("print(1)\n")
    (project / "Models/deep/größe.py").write_text("x = 1\n")
    (project / "run.sh").write_text("#!/bin/sh\n")
    (project / "run.sh").chmod(0o755)
    (project / "link.py").symlink_to("TrainScript.py")
    with packed(plan_bundle(project)) as made:
        kept = tmp_path / "bundle.zip"
        kept.write_bytes(made.path.read_bytes())
    return kept


def test_code_comes_as_it_was(bundle: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    unpack(bundle, work, USER)
    assert (work / "Models/deep/größe.py").read_text() == "x = 1\n"
    assert (work / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (work / "TrainScript.py").stat().st_mode & 0o777 == 0o644
    assert os.readlink(work / "link.py") == "TrainScript.py"


def test_again_it_restores_the_code_and_keeps_the_rest(bundle: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    unpack(bundle, work, USER)
    (work / "TrainScript.py").write_text("changed")
    (work / "outputs").mkdir()
    (work / "outputs/model.pt").write_text("weights")
    unpack(bundle, work, USER)
    assert (work / "TrainScript.py").read_text() == "print(1)\n"
    assert (work / "outputs/model.pt").read_text() == "weights"


def test_nothing_is_written_through_what_a_training_left(bundle: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "target").write_text("untouched")
    work = tmp_path / "work"
    work.mkdir()
    (work / "Models").symlink_to(outside)  # a folder of the code is a link that leads out
    (work / "TrainScript.py").symlink_to(outside / "target")
    (work / "run.sh").mkdir()
    (work / "run.sh/kept").write_text("by the training")
    unpack(bundle, work, USER)
    assert (outside / "target").read_text() == "untouched"
    assert list((outside / "deep").iterdir()) == []
    assert not (work / "Models").is_symlink()
    assert (work / "TrainScript.py").read_text() == "print(1)\n"
    assert (work / "run.sh").is_file()
    (aside,) = work.glob("run.sh.*")
    assert (aside / "kept").read_text() == "by the training"
