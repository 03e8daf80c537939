"""`bench runs show`."""

import json
import shlex

from bench_cli.command import command
from bench_cli.options import optional_run_argument, project_option
from bench_cli.output import Column, Document, Output
from bench_cli.run_texts import code_text, detail_text, resources_text, took_text
from bench_cli.texts import size_text, time_text


def _attempt_line(attempt: Document) -> str:
    took = took_text(attempt)
    facts = [
        attempt["state"],
        attempt["message"] or "",
        f"ran {took}" if took else "",
        f"log {size_text(attempt['log_bytes'])}",
        f"heard of {time_text(attempt['last_contact_time'])}" if attempt["last_contact_time"] else "",
    ]
    return f"\n  {attempt['attempt_number']}: {'; '.join(filter(None, facts))}"


def _values_text(values: Document) -> str:
    return (
        "".join(f"\n  {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
        or "none"
    )


LINES = [
    Column("Name", lambda run: run["name"]),
    Column("Id", lambda run: run["run_id"]),
    Column("State", detail_text),
    Column("Made", lambda run: time_text(run["create_time"])),
    Column("By", lambda run: run["creator"] or "an account that is gone"),
    Column("Command", lambda run: shlex.join(run["spec"]["command"])),
    Column("Code", code_text),
    Column(
        "Datasets",
        lambda run: (
            ", ".join(f"{pin['dataset']} {pin['version_number']}" for pin in run["spec"]["datasets"])
            or "none"
        ),
    ),
    Column("May use", resources_text),
    Column("Tags", lambda run: ", ".join(run["tags"]) or "none"),
    Column("Group", lambda run: run["group"] or "none"),
    Column("Repeats", lambda run: run["parent_run_id"] or "no other run"),
    Column("Config", lambda run: _values_text(run["config"])),
    Column("Summary", lambda run: _values_text(run["summary"])),
    Column("Attempts", lambda run: "".join(_attempt_line(attempt) for attempt in run["attempts"])),
]


@command("show", examples=["bench runs show", "bench runs show wide --json"], shows=True)
@optional_run_argument
@project_option
def show(output: Output, run: str | None, project: str | None) -> None:
    """Show a run: its attempts, and what its training said of itself.

    RUN is its name, its id or the beginning of that; by default the latest run.
    """
    from bench_cli.runs import find_run, run_document, runs_of

    runs = runs_of(project)
    found = find_run(runs, run)
    if run is None:
        found = runs.get(found.run_id)  # the list that it is from leaves out what trainings said
    document = run_document(found) | {"config": found.config, "summary": found.summary}
    output.record(document, LINES, found.name)
