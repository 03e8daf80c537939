"""Each way of installing that the README names, in an empty environment.

None brings torch; bench-data alone brings neither gRPC nor Django.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

USE_IT = """
from importlib.metadata import distributions
from importlib.util import find_spec
from bench_data import ProcessorDataset, WriteOptions, dataset_info, write_chunks

class Numbers(ProcessorDataset):
    def __len__(self):
        return 10

    def get_label_and_numeric_data(self, item):
        return item

write_chunks(Numbers(), "train", root="out", options=WriteOptions(workers=1))
print(dataset_info("out/train").samples, "samples")
print([name for name in ("torch", "grpc", "django") if find_spec(name)])
print(sorted(d.name for d in distributions() if d.name.startswith("bench") and d.version.endswith("+bench")))
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command and return its stdout; nothing of this process's own Python or git reaches it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GIT_"))}
    result = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit: the present files of this one, committed or not."""
    folder = tmp_path_factory.mktemp("clone")
    listing = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, listing.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    run("git", "init", "--quiet", cwd=folder)
    run("git", "add", "--all", cwd=folder)
    author = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
    run("git", *author, "commit", "--quiet", "--message=Present files", cwd=folder)
    return folder


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of an empty environment."""
    run(sys.executable, "-m", "venv", "--without-pip", "empty", cwd=tmp_path)
    return tmp_path / "empty/bin/python"


def pip(python: Path, *arguments: str | Path, cwd: Path) -> None:
    run(sys.executable, "-m", "pip", "--python", python, *arguments, cwd=cwd)


def use_it(python: Path) -> list[str]:
    script = python.parents[2] / "use_it.py"
    script.write_text(USE_IT)
    return run(python, script.name, cwd=script.parent).splitlines()


def test_from_a_git_url(clone: Path, python: Path, tmp_path: Path) -> None:
    pip(python, "install", f"git+{clone.as_uri()}", cwd=tmp_path)
    assert use_it(python) == ["10 samples", "['grpc', 'django']", "['bench-kit']"]


def test_from_a_clone(clone: Path, python: Path) -> None:
    pip(python, "install", "-r", "requirements.txt", cwd=clone)
    assert use_it(python) == ["10 samples", "['grpc', 'django']", "['bench-kit']"]


def test_bench_data_alone_from_its_wheel(clone: Path, python: Path, tmp_path: Path) -> None:
    packages = clone / "packages"
    wheels = ("wheel", "--no-deps", "--wheel-dir=wheels", packages / "bench-core", packages / "bench-data")
    pip(python, *wheels, cwd=tmp_path)
    [wheel] = tmp_path.glob("wheels/bench_data-*.whl")
    pip(python, "install", "--find-links=wheels", wheel, cwd=tmp_path)
    assert use_it(python) == ["10 samples", "[]", "['bench-core', 'bench-data']"]
