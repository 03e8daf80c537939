"""The option that names the server's folder."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., object])


def data_option(function: Function) -> Function:
    """Add `--data FOLDER`, a path that the function gets absolute."""
    return click.option(
        "--data",
        metavar="FOLDER",
        type=click.Path(path_type=Path, resolve_path=True),
        callback=lambda _ctx, _parameter, given: given or _default(),
        help="The server's folder; by default bench-server in your data folder.",
    )(function)


def _default() -> Path:
    from bench_server.data_folder import default_path

    return default_path()
