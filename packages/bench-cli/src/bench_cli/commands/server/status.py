"""`bench server status`."""

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench_cli.command import command
from bench_cli.commands.server.folder import data_option
from bench_cli.output import Column, Document, Output
from bench_cli.texts import duration_text

if TYPE_CHECKING:
    from bench_server.running import RunningServer

LINES = [
    Column("State", lambda server: "running" if server["answers"] else "running, but it does not answer"),
    Column(
        "Process", lambda server: f"{server['pid']}{'' if server['in_background'] else ', in the foreground'}"
    ),
    Column("Endpoint", lambda server: server["endpoint"]),
    Column(
        "Fingerprint", lambda server: server["fingerprint"] or "none: it is in clear, for this machine only"
    ),
    Column("Web", lambda server: server["web_url"]),
    Column("Addresses", lambda server: ", ".join(server["addresses"])),
    Column("Up for", lambda server: duration_text(server["uptime_seconds"])),
    Column("Version", lambda server: server["version"]),
    Column("Data", lambda server: server["data"]),
]


@command("status", examples=["bench server status", "bench server status --json"], shows=True)
@data_option
@click.pass_context
def status(context: click.Context, output: Output, data: Path) -> None:
    """Show whether the server runs, and where.

    The exit code is 1 if it does not run.
    """
    from bench_server.data_folder import open_folder
    from bench_server.running import running_server

    server = running_server(open_folder(data))
    if server is None:
        output.result(f"No server runs with {data}.", {"running": False, "data": str(data)})
        context.exit(1)
    output.record({**server_document(data, server), "answers": _answers(data)}, LINES, str(server.pid))


def server_document(data: Path, server: "RunningServer") -> dict[str, Any]:
    """A running server for --json."""
    started = datetime.datetime.fromisoformat(server.start_time)
    return {
        "running": True,
        "pid": server.pid,
        "endpoint": server.endpoint,
        "fingerprint": server.fingerprint,
        "web_url": server.web_url,
        "addresses": server.addresses,
        "start_time": server.start_time,
        "uptime_seconds": int((datetime.datetime.now(datetime.timezone.utc) - started).total_seconds()),
        "version": server.version,
        "data": str(data),
        "in_background": server.in_background,
    }


def ready_text(document: Document) -> str:
    """What is said of a server that has just started."""
    lines = [f"Bench is ready on {document['endpoint']}"]
    if document["fingerprint"]:
        lines += [f"Fingerprint: {document['fingerprint']}"]
    return "\n".join([*lines, f"Web: {document['web_url']}", f"Data: {document['data']}"])


def _answers(data: Path) -> bool:
    from bench_auth import AuthError, server_info

    try:
        server_info(f"unix:{data / 'rpc.sock'}")
    except AuthError:
        return False
    return True
