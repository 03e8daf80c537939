"""`bench server stop`."""

from pathlib import Path

from bench_cli.command import command
from bench_cli.commands.server.folder import data_option
from bench_cli.output import Output


@command("stop", examples=["bench server stop", "bench server stop --data /srv/bench"])
@data_option
def stop(output: Output, data: Path) -> None:
    """Stop the server.

    Calls that are under way have 20 seconds to finish. A server that does not run is fine.
    """
    from bench_server import background

    with output.working("Stopping the server"):
        server = background.stop(data)
    if server is None:
        output.result(f"No server runs with {data}.")
    else:
        output.result(f"Stopped the server (process {server.pid}).", name=str(server.pid))
