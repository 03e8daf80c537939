"""What the demo decides before it begins."""

import runpy
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[1] / "examples" / "demo.py"


def test_the_engine_that_was_asked_for_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\n")  # it answers, and has every image
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BENCH_BASE_IMAGE", raising=False)
    demo = runpy.run_path(str(DEMO))
    shell = demo["Shell"](tmp_path)
    monkeypatch.delenv("BENCH_ENGINE", raising=False)
    assert demo["find_engine"](shell) == ("docker", "in Docker, on python:3.11-slim-bookworm")
    monkeypatch.setenv("BENCH_ENGINE", "process")
    assert demo["find_engine"](shell) == (
        "process",
        "as BENCH_ENGINE says, it is a process of the server's user",
    )
    docker.unlink()
    monkeypatch.delenv("BENCH_ENGINE")
    assert demo["find_engine"](shell)[0] == "process"
