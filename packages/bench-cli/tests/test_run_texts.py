"""What is said of runs: pure."""

from typing import Any

import pytest
from bench_cli.run_texts import (
    EXIT_CODES,
    code_text,
    end_text,
    progress_text,
    resources_text,
    state_text,
    took_text,
)


def run(state: str, **known: Any) -> dict[str, Any]:
    unknown = dict.fromkeys(("reason", "message", "waiting_for", "exit_code"))
    return {"name": "wide", "state": state, "attempts": [{}], **unknown, **known}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (run("queued"), "wide: waits for its turn"),
        (run("queued", waiting_for="waits for 1 GPU: 0 are free"), "wide: waits for 1 GPU: 0 are free"),
        (run("building"), "wide: its image is being made"),
        (run("running", attempts=[{}, {}]), "wide, attempt 2: runs"),
        (run("succeeded"), None),
    ],
)
def test_progress(document: dict[str, Any], expected: str | None) -> None:
    assert progress_text(document) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (run("succeeded", reason="succeeded", exit_code=0), "wide succeeded."),
        (
            run("failed", reason="failed_exit", message="the training returned 3", exit_code=3),
            "wide failed: the training returned 3 (failed_exit, exit code 3).",
        ),
        (run("failed", reason="lost", message="It is gone."), "wide failed: It is gone (lost)."),
        (run("stopped"), "wide stopped."),
    ],
)
def test_ends(document: dict[str, Any], expected: str) -> None:
    assert end_text(document) == expected


def test_exit_codes() -> None:
    assert EXIT_CODES == {"succeeded": 0, "failed": 100, "stopped": 103}


def test_table_cells() -> None:
    assert state_text(run("failed", reason="out_of_memory")) == "failed: out_of_memory"
    assert state_text(run("stopped", reason="stopped")) == "stopped"
    times = {"start_time": "2026-01-01T10:00:00+00:00", "end_time": "2026-01-01T11:02:00+00:00"}
    assert took_text(times) == "1 h 2 min"
    assert took_text({"start_time": None}) == ""


@pytest.mark.parametrize(
    ("version", "commit", "dirty", "expected"),
    [
        (None, None, False, "bundle abababababab"),
        (3, None, False, "version 3"),
        (None, "c" * 40, True, "commit ccccccccc+"),
        (3, "c" * 40, False, "version 3, commit ccccccccc"),
    ],
)
def test_code(version: int | None, commit: str | None, dirty: bool, expected: str) -> None:
    spec = {
        "project_version_number": version,
        "git_commit": commit,
        "is_dirty": dirty,
        "bundle_digest": "ab" * 32,
    }
    assert code_text({"spec": spec}) == expected


def test_resources() -> None:
    spec = {"cpu_millis": 0, "memory_bytes": 0, "gpu_count": 0}
    assert resources_text({"spec": spec}) == "all CPUs, the server's share of memory, no GPU"
    spec = {"cpu_millis": 2500, "memory_bytes": 16_000_000_000, "gpu_count": 1}
    assert resources_text({"spec": spec}) == "2.5 CPUs, 16.0 GB, 1 GPU"
