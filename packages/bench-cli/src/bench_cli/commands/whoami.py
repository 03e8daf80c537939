"""`bench whoami`."""

from bench_cli.command import command
from bench_cli.options import endpoint_option
from bench_cli.output import Column, Output

LINES = [
    Column("User", lambda user: f"{user['username']}{' (owns the server)' if user['is_owner'] else ''}"),
    Column("Server", lambda user: user["endpoint"]),
    Column("Token from", lambda user: user["token_from"]),
]


@command("whoami", examples=["bench whoami", "bench whoami --json"], shows=True)
@endpoint_option
def whoami(output: Output, endpoint: str | None) -> None:
    """Show who is logged in, and where."""
    from dataclasses import asdict

    from bench_auth import current_user

    from bench_cli import sources

    user = current_user(sources.endpoint(endpoint).value)
    output.record({**asdict(user), "token_from": sources.token().where}, LINES, user.username)
