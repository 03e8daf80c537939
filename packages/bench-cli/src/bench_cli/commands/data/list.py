"""`bench data list`."""

from typing import Any

import click

from bench_cli.command import command
from bench_cli.options import project_option
from bench_cli.output import Column, Document, Output
from bench_cli.texts import size_text


@command(
    "list", examples=["bench data list", "bench data list --local", "bench data list --json"], shows=True
)
@project_option
@click.option("--local", is_flag=True, help="Only those of this machine; no server is asked.")
def list_(output: Output, project: str | None, local: bool) -> None:
    """List the datasets of this machine and of the project."""
    from bench_cli import cloud, sources
    from bench_cli.local_data import list_local

    here = list_local()
    there = {}
    if not local and sources.project(project).value is not None:
        there = {dataset.name: dataset for dataset in cloud.list_datasets(cloud.find_project(project))}
    elif not local:
        output.note("This folder belongs to no project: only the datasets of this machine are listed.")
    documents = [
        {
            "name": name,
            "local": here.get(name),
            "latest": cloud.version_document(there[name].latest) if name in there else None,
            "version_count": there[name].version_count if name in there else 0,
        }
        for name in sorted({*here, *there})
    ]
    output.table(documents, COLUMNS, empty="There is no dataset.")


def _facts(document: Document) -> Document:
    """What is known of the content: that of this machine goes before the server's."""
    facts: Document = document["local"] or document["latest"]
    return facts


def _samples(document: Document) -> str:
    count: Any = _facts(document).get("sample_count")
    return "" if count is None else f"{count:,}"


def _size(document: Document) -> str:
    size: Any = _facts(document).get("stored_bytes")
    return "" if size is None else size_text(size)


def _here(document: Document) -> str:
    local = document["local"]
    if local is None:
        return "no"
    if "problem" in local:
        return "damaged"
    return "streamed" if local["streamed"] else "yes"


def _server(document: Document) -> str:
    latest, local = document["latest"], document["local"]
    if latest is None:
        return "no"
    number = f"version {latest['version_number']}"
    if local is None or local.get("fingerprint") == latest["fingerprint"]:
        return number
    return f"{number}, differs"


COLUMNS = [
    Column("NAME", lambda document: document["name"]),
    Column("SAMPLES", _samples, right=True),
    Column("SIZE", _size, right=True),
    Column("HERE", _here),
    Column("SERVER", _server),
]
