"""The command as its user runs it: a process, in a home of its own, against a real server."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_tools import Cli, Server, running_server


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """`bench` in an empty home, without a terminal."""
    return Cli(tmp_path)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that runs, whose owner is ada; what is submitted to it waits."""
    with running_server(tmp_path_factory.mktemp("server"), "--no-runner") as made:
        yield made


@pytest.fixture(scope="session")
def credentials(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a login of ada's."""
    return Cli(tmp_path_factory.mktemp("login")).with_login(server, "ada").config


@pytest.fixture
def ada(cli: Cli, credentials: Path) -> Cli:
    """`bench` of the server's owner; the login is shared, so do not log out."""
    shutil.copytree(credentials, cli.config)
    return cli


@pytest.fixture
def project(ada: Cli, tmp_path: Path) -> str:
    """A project of ada's with a name of its own; its name."""
    name = tmp_path.name[:60].rstrip("_-")
    ada("project", "create", name)
    return name
