"""`bench server start`."""

import os
import sys
from pathlib import Path

import click

from bench_cli.command import command
from bench_cli.commands.server.folder import data_option
from bench_cli.commands.server.status import ready_text, server_document
from bench_cli.output import Output

PORT = click.IntRange(1, 65535)
FILE = click.Path(exists=True, dir_okay=False, resolve_path=True)


@command(
    "start",
    examples=[
        "bench server start",
        "bench server start --port 9000 --data /srv/bench",
        "bench server start --host 0.0.0.0 --name bench.example.org",
        "bench server start --foreground",
    ],
    shows=True,
)
@data_option
@click.option("--port", type=PORT, help="For gRPC; 8470 unless given.")
@click.option("--web-port", type=PORT, help="For the pages; the next one unless given.")
@click.option("--host", metavar="ADDRESS", help="Where others reach it, with TLS; 0.0.0.0: everywhere.")
@click.option("--name", "names", metavar="NAME", multiple=True, help="Another name others use; repeatable.")
@click.option("--certificate", type=FILE, help="PEM, instead of the server's own; with --key.")
@click.option("--key", type=FILE, help="PEM, of the certificate.")
@click.option(
    "--foreground", is_flag=True, help="Run here until Ctrl-C or SIGTERM, as service managers want."
)
def start(
    output: Output,
    data: Path,
    port: int | None,
    web_port: int | None,
    host: str | None,
    names: tuple[str, ...],
    certificate: str | None,
    key: str | None,
    foreground: bool,
) -> None:
    """Start the server and leave it running.

    This returns when the server is ready. It goes on until `bench server stop`, or until the machine ends.
    Without --host only this machine reaches it.
    """
    options = {"--port": port, "--web-port": web_port, "--host": host, "--certificate": certificate}
    given = [(option, str(value)) for option, value in {**options, "--key": key}.items() if value is not None]
    arguments = [word for pair in [*given, *(("--name", name) for name in names)] for word in pair]
    if foreground:
        command = [sys.executable, "-m", "bench_server", "start", "--data", str(data), *arguments]
        os.execv(sys.executable, command)
    from bench_server import background

    with output.working("Starting the server"):
        server = background.start(data, arguments)
    document = server_document(data, server)
    output.result(ready_text(document), document, str(server.pid))
