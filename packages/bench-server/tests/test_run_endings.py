"""How what is left of an attempt becomes a reason, case by case."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from bench_deploy.engine import Container, ContainerState
from bench_server.runner.endings import Ending, Evidence, decide
from bench_server.runner.exit_report import ExitReport, read_report
from bench_server.runs.states import FOLLOWING, REASONS, State, allowed


def report(exit_code: int | None = None, **given: Any) -> ExitReport:
    return ExitReport(exit_code=exit_code, **given)


def told(exit_code: int) -> ExitReport:
    return report(exit_code, received_sigterm=True)


def container(**given: Any) -> Container:
    return Container(name="c", state=ContainerState.EXITED, **{"exit_code": 0, **given})


OK = report(0)
CASES: list[tuple[dict[str, Any], str]] = [
    ({"container": container(), "report": OK}, "succeeded"),
    ({"container": container(), "report": report(3)}, "failed_exit"),
    ({"container": container(), "report": report(signal=11)}, "failed_signal"),
    ({"container": container(), "report": report(error="no such file")}, "command_missing"),
    # Out of memory: the engine's word or the agent's, but not where the training got over it.
    ({"container": container(out_of_memory=True), "report": report(signal=9)}, "out_of_memory"),
    ({"container": container(), "report": report(1, oom_kills=1)}, "out_of_memory"),
    ({"container": container(out_of_memory=True), "report": OK}, "succeeded"),
    ({"container": container(exit_code=137, out_of_memory=True), "report": None}, "out_of_memory"),
    ({"container": container(), "report": report(1, free_bytes={"work": 0})}, "disk_full"),
    ({"container": container(), "report": report(1, free_bytes={"work": 10**9})}, "failed_exit"),
    # A stop that was recorded, whatever the script made of SIGTERM; but not if it had ended by itself before.
    ({"stop_reason": "stopped", "container": container(), "report": told(0)}, "stopped"),
    ({"stop_reason": "stopped", "container": container(), "report": told(1)}, "stopped"),
    ({"stop_reason": "max_hours", "container": container(exit_code=137), "report": None}, "max_hours"),
    ({"stop_reason": "stopped", "container": container(), "report": OK}, "succeeded"),
    ({"stop_reason": "stopped", "container": container(), "report": report(2)}, "failed_exit"),
    # SIGTERM that nobody asked for is the engine's end, whatever the script returned.
    ({"container": container(), "report": told(0)}, "engine_restarted"),
    ({"container": container(exit_code=137), "report": None, "engine_was_away": True}, "engine_restarted"),
    ({"container": None, "report": None, "engine_was_away": True}, "engine_restarted"),
    ({"container": container(), "report": report(1), "engine_was_away": True}, "failed_exit"),
    ({"container": container(exit_code=137), "report": None, "host_restarted": True}, "host_restarted"),
    ({"container": container(), "report": OK, "host_restarted": True}, "succeeded"),
    ({"container": container(exit_code=137), "report": None}, "killed"),
    ({"container": container(exit_code=70), "report": None}, "start_failed"),
    ({"container": None, "report": None}, "lost"),
    ({"container": container(error="no such device"), "report": None}, "start_failed"),
]  # fmt: skip


@pytest.mark.parametrize(("evidence", "reason"), CASES)
def test_the_reason_follows_from_what_is_left(evidence: dict[str, Any], reason: str) -> None:
    ending = decide(Evidence(**evidence))
    assert ending.reason == reason
    assert reason in REASONS


def test_an_ending_keeps_the_exit_code_and_says_the_signal() -> None:
    assert decide(Evidence(container=container(), report=report(3))) == Ending(
        "failed_exit", "the training returned 3", 3
    )
    segfault = report(signal=11)
    assert decide(Evidence(container=container(), report=segfault)).message == "SIGSEGV ended it"


def test_every_reason_belongs_to_an_end_that_can_be_reached() -> None:
    for reason in REASONS.values():
        assert reason.state.has_ended
        assert any(allowed(before, reason.state) for before in State)
    assert {state for state in State if not FOLLOWING[state]} == {
        State.SUCCEEDED,
        State.FAILED,
        State.STOPPED,
    }


REPORT = {
    "version": 1,
    "exit_code": 1,
    "signal": None,
    "received_sigterm": False,
    "start_time": "2026-11-25T10:00:00Z",
    "end_time": "2026-11-25T10:00:01+00:00",
    "free_bytes": {"work": 5},
    "oom_kills": 0,
    "spool_bytes": 4711,
    "error": None,
}


def test_a_report_is_read(tmp_path: Path) -> None:
    (tmp_path / "exit.json").write_text(json.dumps(REPORT))
    found = read_report(tmp_path / "exit.json")
    assert found is not None
    assert found.exit_code == 1
    assert found.free_bytes == {"work": 5}
    assert found.end_time is not None
    assert found.start_time is not None
    assert (found.end_time - found.start_time).total_seconds() == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"[" * 30_000,
        b"null",
        b'{"exit_code": []}',
        b"\xff",
        json.dumps({**REPORT, "free_bytes": 3}).encode(),
        json.dumps({**REPORT, "start_time": "soon"}).encode(),
        b" " * 100_000,
    ],
)
def test_what_a_training_wrote_in_its_place_is_no_report(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "exit.json").write_bytes(content)
    assert read_report(tmp_path / "exit.json") is None


def test_a_link_or_a_pipe_is_no_report(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(json.dumps(REPORT))
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "pipe")
    assert [read_report(tmp_path / name) for name in ("link", "pipe", "nothing")] == [None] * 3
