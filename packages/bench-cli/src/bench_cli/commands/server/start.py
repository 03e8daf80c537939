"""`bench server start`."""

import os
import sys
from pathlib import Path

import click

from bench_cli.command import command
from bench_cli.commands.server.folder import data_option
from bench_cli.commands.server.status import ready_text, server_document
from bench_cli.output import Output


@command(
    "start",
    examples=[
        "bench server start",
        "bench server start --port 9000 --data /srv/bench",
        "bench server start --foreground",
    ],
    shows=True,
)
@data_option
@click.option("--port", type=click.IntRange(1, 65535), help="For gRPC; 8470 unless given.")
@click.option("--web-port", type=click.IntRange(1, 65535), help="For the pages; the next one unless given.")
@click.option(
    "--foreground", is_flag=True, help="Run here until Ctrl-C or SIGTERM, as service managers want."
)
def start(output: Output, data: Path, port: int | None, web_port: int | None, foreground: bool) -> None:
    """Start the server and leave it running.

    This returns when the server is ready. It goes on until `bench server stop`, or until the machine ends.
    """
    ports = {"--port": port, "--web-port": web_port}
    arguments = [word for option, given in ports.items() if given for word in (option, str(given))]
    if foreground:
        command = [sys.executable, "-m", "bench_server", "start", "--data", str(data), *arguments]
        os.execv(sys.executable, command)
    from bench_server import background

    with output.working("Starting the server"):
        server = background.start(data, arguments)
    document = server_document(data, server)
    output.result(ready_text(document), document, str(server.pid))
