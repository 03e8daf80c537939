"""`bench config`."""

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from bench_cli.command import command
from bench_cli.errors import CliError
from bench_cli.lazy import Entry, LazyGroup
from bench_cli.output import Column, Document, Output

if TYPE_CHECKING:
    from bench_cli.sources import Setting

config = LazyGroup(
    name="config",
    help="Show and change settings.",
    entries={
        "show": Entry("config:show", "Show each setting, and where it comes from."),
        "get": Entry("config:get", "Print one setting."),
        "set": Entry("config:set_", "Change a setting of this user."),
        "unset": Entry("config:unset", "Take back a setting of this user."),
    },
)

NAMES = ["endpoint", "token", "project", "python", "data_root"]
USER_NAMES = ["endpoint"]


def _source(setting: Document) -> str:
    return f"{setting['source']} ({setting['where']})" if setting["where"] else str(setting["source"])


COLUMNS = [
    Column("SETTING", lambda setting: setting["name"]),
    Column("VALUE", lambda setting: setting["value"] or "-"),
    Column("FROM", _source),
]


@command("show", examples=["bench config show", "bench config show --json"], shows=True)
def show(output: Output) -> None:
    """Show each setting, and where it comes from.

    A flag goes before the environment, that before the project's bench.toml, that before what this user has
    set, and that before the default.
    """
    output.table([asdict(_settled(name)) for name in NAMES], COLUMNS, empty="")


@command("get", examples=["bench config get endpoint"], shows=True)
@click.argument("name", type=click.Choice(NAMES))
def get(output: Output, name: str) -> None:
    """Print one setting."""
    setting = _settled(name)
    if setting.value is None:
        raise CliError(f"{name} is not set")
    output.result(setting.value, asdict(setting), setting.value)


@command("set", examples=["bench config set endpoint https://bench.example.org:8470"])
@click.argument("name", type=click.Choice(USER_NAMES))
@click.argument("value")
def set_(output: Output, name: str, value: str) -> None:
    """Change a setting of this user.

    A login sets the endpoint too.
    """
    from bench_auth import prefer_endpoint

    prefer_endpoint(value)
    _say(output, name)


@command("unset", examples=["bench config unset endpoint"])
@click.argument("name", type=click.Choice(USER_NAMES))
def unset(output: Output, name: str) -> None:
    """Take back a setting of this user."""
    from bench_auth import prefer_endpoint

    prefer_endpoint(None)
    _say(output, name)


def _say(output: Output, name: str) -> None:
    setting = _settled(name)
    output.result(f"{name} is {setting.value}, from: {_source(asdict(setting))}.", name=setting.value)


def _settled(name: str) -> "Setting":
    from bench_cli import sources

    read: dict[str, Callable[[], Setting]] = {
        "endpoint": sources.endpoint,
        "token": sources.token,
        "project": sources.project,
        "python": sources.python,
        "data_root": sources.datasets,
    }
    return read[name]()
