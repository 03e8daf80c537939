"""Runs at a terminal of this machine, in real containers."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pexpect
import pytest
from bench_core import read_project
from bench_deploy import RunSpec
from bench_deploy.bundle import packed
from bench_deploy.bundle_plan import plan_bundle
from bench_deploy.errors import EngineError
from bench_deploy.image.downloads import CACHE_VOLUME
from bench_deploy.local import LABEL, build_local, run_local
from engine_rigs import docker_says
from image_tools import ImageRig

pytestmark = pytest.mark.needs("dockerd")

SPEC = RunSpec(bundle_digest="", command=("python", "TrainScript.py"), cpu_millis=500, memory_bytes=512 << 20)

SCRIPT = """
import os, pathlib, sys
import bench_data
print(os.getcwd(), os.environ["LR"], pathlib.Path(os.environ["BENCH_DATA_ROOT"], "there").read_text())
pathlib.Path(os.environ["BENCH_OUTPUT"], "kept").write_text("output")
pathlib.Path("beside").write_text("work")
sys.exit(3)
"""


@pytest.fixture(scope="module")
def folder(dockerd: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project's folder, whose image is made of a base of its own."""
    place = tmp_path_factory.mktemp("local")
    volumes = docker_says("volume", "ls", "-q").split()
    rig = ImageRig(place / ".bench" / "images")
    settings = '[project]\nid = "01920000-0000-7000-8000-000000000000"\nname = "p"\n'
    (place / "bench.toml").write_text(f'{settings}[image]\nbase = "{rig.base}"\n')
    (place / "TrainScript.py").write_text(SCRIPT)
    (place / ".bench" / "datasets").mkdir(parents=True)
    (place / ".bench" / "datasets" / "there").write_text("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BENCH_BASE_IMAGE", raising=False)
        yield place
    rig.close()
    if CACHE_VOLUME not in volumes:
        docker_says("volume", "rm", CACHE_VOLUME)


def nothing_is_left(folder: Path) -> bool:
    return docker_says("ps", "-aq", "--filter", f"label={LABEL}={folder}") == ""


def test_the_image_is_that_of_runs(folder: Path) -> None:
    said: list[str] = []
    built = build_local(folder, read_project(folder), say=said.append)
    assert "== Bench" in said
    again = build_local(folder, read_project(folder))
    assert (again.image_id, again.was_there) == (built.image_id, True)


def test_what_a_command_says_and_leaves(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    project = read_project(folder)
    assert run_local(folder, project, replace(SPEC, environment={"LR": "0.1"}), say=lambda _: None) == 3
    assert capfd.readouterr().out == "/bench/work 0.1 data\n"
    local = folder / ".bench" / "local"
    assert (local / "output" / "kept").read_text() == "output"
    assert (local / "work" / "beside").read_text() == "work"
    assert nothing_is_left(folder)

    (folder / "TrainScript.py").write_text("print('other')\n")
    with packed(plan_bundle(folder)) as bundle:
        (folder / "TrainScript.py").write_text(SCRIPT)
        assert run_local(folder, project, SPEC, bundle=bundle.path, say=lambda _: None) == 0
    assert capfd.readouterr().out == "other\n"
    assert not (local / "work" / "beside").exists()
    assert (local / "output" / "kept").exists()


def test_a_shell_at_a_terminal(folder: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom bench_core import read_project\n"
        "from bench_deploy import RunSpec\nfrom bench_deploy.local import SHELL, run_local\n"
        f"folder = Path({str(folder)!r})\nspec = RunSpec(bundle_digest='', command=SHELL)\n"
        "sys.exit(run_local(folder, read_project(folder), spec))"
    )
    shell = pexpect.spawn(sys.executable, ["-c", code], encoding="utf-8", timeout=120, dimensions=(24, 200))
    shell.expect(r"\$ ")
    with pytest.raises(EngineError, match="another container of this project runs"):
        run_local(folder, read_project(folder), SPEC)
    shell.sendline("test -t 0 && echo at$((40 + 2)) $(id -u)")
    user = os.getuid() or 65532
    shell.expect_exact(f"at42 {user}\r\n")
    shell.sendline("exit 7")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 7
    assert nothing_is_left(folder)


def test_more_gpus_than_there_are(folder: Path) -> None:
    with pytest.raises(EngineError, match="1000 GPUs are asked for, and this machine has"):
        run_local(folder, read_project(folder), replace(SPEC, gpu_count=1000), say=lambda _: None)
    assert nothing_is_left(folder)
