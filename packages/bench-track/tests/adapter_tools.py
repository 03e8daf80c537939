"""For the tests of the adapters: places to log to, what is there then, and the README's examples."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench_track import beginning, leniency
from spool_reading import points

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No run goes on before and after, and nothing was warned of."""
    for name in ("BENCH_TRACK", "BENCH_OUTPUT", "BENCH_RUN", "BENCH_RUN_NAME", "BENCH_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    leniency.warn_once.cache_clear()
    yield
    if run := beginning.current():
        run.finish()


@pytest.fixture
def spool(clean: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The spool of a server's run."""
    monkeypatch.setenv("BENCH_TRACK", str(tmp_path / "spool"))
    monkeypatch.setenv("BENCH_OUTPUT", str(tmp_path / "output"))
    monkeypatch.setenv("BENCH_RUN", "0198c0de-0000-7000-8000-000000000000")
    return tmp_path / "spool"


@pytest.fixture
def root(clean: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of runs outside of a server's."""
    monkeypatch.setenv("BENCH_TRACK_ROOT", str(tmp_path / "tracks"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "tracks"


def runs(root: Path) -> list[Path]:
    """The folders of the runs outside, in the order of their beginnings."""
    return sorted(root.iterdir(), key=lambda folder: said(folder)["time"])


def said(folder: Path) -> dict[str, Any]:
    """What a run's folder says of it."""
    found: dict[str, Any] = json.loads((folder / "run.json").read_bytes())
    return found


def end(folder: Path) -> tuple[str, str | None] | None:
    """State and message of its end; None while it goes on."""
    path = folder / "end.json"
    if not path.exists():
        return None
    found = json.loads(path.read_bytes())
    return found["state"], found["message"]


def series(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of all points, for each name."""
    found: dict[str, list[tuple[int, float]]] = {}
    for step, values in points(folder):
        for name, value in values.items():
            found.setdefault(name, []).append((step, value))
    return found


def example(word: str) -> str:
    """The README's example that has a word."""
    (found,) = [
        block for block in re.findall("```python\n(.*?)```", README.read_text(), re.S) if word in block
    ]
    return str(found)


def run_script(text: str, folder: Path, *, ranks: int = 1) -> str:
    """What a script of one or more processes prints."""
    path = folder / "script.py"
    path.write_text(text)
    several = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    done = subprocess.run(
        [sys.executable, *(several if ranks > 1 else []), str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
