"""`bench server restart`."""

from pathlib import Path

from bench_cli.command import command
from bench_cli.commands.server.folder import data_option
from bench_cli.commands.server.status import ready_text, server_document
from bench_cli.output import Output


@command("restart", examples=["bench server restart"], shows=True)
@data_option
def restart(output: Output, data: Path) -> None:
    """Stop the server and start it as it was.

    It gets the options of its last start, and the environment of this one.
    """
    from bench_server import background

    with output.working("Restarting the server"):
        server = background.restart(data)
    document = server_document(data, server)
    output.result(ready_text(document), document, str(server.pid))
