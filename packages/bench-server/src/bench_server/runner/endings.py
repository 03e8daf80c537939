"""How an attempt ended: from what is left of it to a reason. Pure."""

import signal
from dataclasses import dataclass

from bench_deploy.engine import Container

from bench_server.runner.exit_report import ExitReport

AGENT_UNUSABLE = 70
"""The agent's exit code where it could not begin."""

NO_ROOM_BYTES = 1 << 20
"""A disk with no more free than this is full: the file system keeps some for itself."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of an attempt whose container does not run any more.

    Args:
        stop_reason: Of a stop that was recorded: "stopped" or "max_hours"; empty if there was none.
        host_restarted: Whether the machine was started anew since the attempt was.
        engine_was_away: Whether the engine was, at a time since the attempt was last seen to run.
        container: The engine's word; None if there is no such container.
        report: The agent's word; None if there is none.
    """

    stop_reason: str = ""
    host_restarted: bool = False
    engine_was_away: bool = False
    container: Container | None
    report: ExitReport | None


@dataclass(frozen=True)
class Ending:
    """Why an attempt ended.

    Args:
        reason: A reason code of runs/states.py.
        message: For people.
        exit_code: The training's, if it had one.
    """

    reason: str
    message: str
    exit_code: int | None = None


def decide(evidence: Evidence) -> Ending:
    """How the attempt ended; the rules are those of docs/runs.md, in their order."""
    report, container = evidence.report, evidence.container
    exit_code = report.exit_code if report else None
    was_told = report is None or report.received_sigterm
    if evidence.stop_reason and was_told:
        return Ending(evidence.stop_reason, "", exit_code)
    if evidence.host_restarted and report is None:
        return Ending("host_restarted", "the machine was started anew while it ran")
    if report is not None and report.received_sigterm:
        return Ending("engine_restarted", "it was told to end, and nobody had asked for it", exit_code)
    if report is None:
        return _without_report(evidence, container)
    return _by_report(
        report, out_of_memory=bool(container and container.out_of_memory) or report.oom_kills > 0
    )


def _without_report(evidence: Evidence, container: Container | None) -> Ending:
    if evidence.engine_was_away:
        return Ending("engine_restarted", "the engine went down while it ran")
    if container is None:
        return Ending("lost", "its container is gone, and it left no word of how it ended")
    if container.error:
        return Ending("start_failed", container.error)
    if container.exit_code == AGENT_UNUSABLE:
        return Ending("start_failed", "its agent could not begin; spool/agent.log says why")
    if container.out_of_memory:
        return Ending(
            "out_of_memory", "the kernel ended its container: it wanted more memory than it may use"
        )
    return Ending(
        "killed", f"its container was ended from outside of Bench (exit code {container.exit_code})"
    )


def _by_report(report: ExitReport, *, out_of_memory: bool) -> Ending:
    if report.error:
        return Ending("command_missing", report.error)
    if report.exit_code == 0:
        return Ending("succeeded", "", 0)
    if out_of_memory:
        return Ending("out_of_memory", "it wanted more memory than it may use", report.exit_code)
    if full := [place for place, free in report.free_bytes.items() if free < NO_ROOM_BYTES]:
        return Ending("disk_full", f"its disk has no room left ({', '.join(full)})", report.exit_code)
    if report.signal is not None:
        return Ending("failed_signal", f"{signal_name(report.signal)} ended it")
    return Ending("failed_exit", f"the training returned {report.exit_code}", report.exit_code)


def signal_name(number: int) -> str:
    """Such as SIGSEGV."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
