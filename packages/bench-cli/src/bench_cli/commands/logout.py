"""`bench logout`."""

from bench_cli.command import command
from bench_cli.options import endpoint_option
from bench_cli.output import Output


@command("logout", examples=["bench logout", "bench logout --endpoint https://bench.example.org:8470"])
@endpoint_option
def logout(output: Output, endpoint: str | None) -> None:
    """Log out of a server.

    The login is revoked there and forgotten here. A token that was given with --with-token is only forgotten.
    """
    import bench_auth

    from bench_cli import sources

    url = sources.endpoint(endpoint).value
    bench_auth.logout(url)
    output.result(f"Logged out of {url}.")
    if sources.token().source == "environment":
        output.warn("BENCH_TOKEN is still set, and is still used")
