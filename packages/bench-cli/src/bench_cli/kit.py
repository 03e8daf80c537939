"""`bench-kit`: the flags of the original, which do what `bench` does."""

import sys
from collections.abc import Sequence

import click

from bench_cli.main import main as bench
from bench_cli.main import run
from bench_cli.version import VERSION


@click.command(epilog="Everything else is in bench: bench --help")
@click.option("--startproject", metavar="NAME", help="Start a project (bench startproject NAME).")
@click.option("--logout", is_flag=True, help="Log out (bench logout).")
@click.version_option(VERSION, prog_name="bench-kit", message="%(prog)s %(version)s")
@click.pass_context
def bench_kit(context: click.Context, startproject: str | None, logout: bool) -> int:
    """Start a project, or log out."""
    if startproject is not None and logout:
        raise click.UsageError("--startproject and --logout exclude each other")
    if startproject is not None:
        return bench(["startproject", startproject])
    if logout:
        return bench(["logout"])
    click.echo(context.get_help())
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `bench-kit` and return its exit code."""
    return run(bench_kit, "bench-kit", arguments)


if __name__ == "__main__":
    sys.exit(main())
