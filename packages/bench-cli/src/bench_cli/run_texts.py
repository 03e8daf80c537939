"""What is said of runs, for people: pure."""

import datetime

from bench_cli.output import Document
from bench_cli.texts import duration_text, size_text

EXIT_CODES = {"succeeded": 0, "failed": 100, "stopped": 103}
"""Of a command that follows a run to its end."""

NOW = {
    "queued": "waits for its turn",
    "building": "its image is being made",
    "starting": "its container is being started",
    "running": "runs",
    "stopping": "is being stopped",
}


def progress_text(run: Document) -> str | None:
    """How a run is that has not ended; None if it has."""
    if run["state"] not in NOW:
        return None
    doing = NOW[run["state"]]
    if run["state"] == "queued" and run["waiting_for"]:
        doing = run["waiting_for"]
    number = len(run["attempts"])
    return f"{run['name']}{f', attempt {number}' if number > 1 else ''}: {doing}"


def end_text(run: Document) -> str:
    """How a run ended, with the reason and the exit code."""
    if run["state"] == "succeeded":
        return f"{run['name']} succeeded."
    facts = [run["reason"]] if run["reason"] else []
    if run["exit_code"] is not None:
        facts.append(f"exit code {run['exit_code']}")
    why = f": {run['message'].rstrip('.')}" if run["message"] else ""
    code = f" ({', '.join(facts)})" if facts else ""
    return f"{run['name']} {run['state']}{why}{code}."


def state_text(run: Document) -> str:
    """A run's state in a table."""
    if run["state"] == "failed" and run["reason"]:
        return f"failed: {run['reason']}"
    return str(run["state"])


def detail_text(run: Document) -> str:
    """A run's state in a record, with what is known of it."""
    return progress_text(run) or end_text(run)


def took_text(attempt: Document) -> str:
    """How long the training ran; empty if it did not start."""
    if attempt["start_time"] is None:
        return ""
    start = datetime.datetime.fromisoformat(attempt["start_time"])
    end = attempt["end_time"]
    until = datetime.datetime.fromisoformat(end) if end else datetime.datetime.now(datetime.timezone.utc)
    return duration_text(max((until - start).total_seconds(), 0))


def code_text(run: Document) -> str:
    """Where a run's code is from."""
    spec = run["spec"]
    version = spec["project_version_number"]
    commit = f"{(spec['git_commit'] or '')[:9]}{'+' * spec['is_dirty']}"
    known = [f"version {version}" if version else "", f"commit {commit}" if commit else ""]
    return ", ".join(filter(None, known)) or (
        f"bundle {spec['bundle_digest'][:12]}" if spec["bundle_digest"] else "elsewhere"
    )


def resources_text(run: Document) -> str:
    """What a run may use of the machine."""
    spec = run["spec"]
    cpus = f"{spec['cpu_millis'] / 1000:g} CPUs" if spec["cpu_millis"] else "all CPUs"
    memory = size_text(spec["memory_bytes"]) if spec["memory_bytes"] else "the server's share of memory"
    gpus = f"{spec['gpu_count']} GPUs" if spec["gpu_count"] != 1 else "1 GPU"
    return f"{cpus}, {memory}, {gpus if spec['gpu_count'] else 'no GPU'}"
