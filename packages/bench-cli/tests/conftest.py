"""The command as its user runs it: a process, in a home of its own, against a real server."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_tools import PASSWORD, Cli, Server, free_port


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """`bench` in an empty home, without a terminal."""
    return Cli(tmp_path)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that runs, whose owner is ada."""
    data, port = tmp_path_factory.mktemp("server") / "data", free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
    command = [sys.executable, "-m", "bench_server"]
    make_owner = [*command, "createuser", "ada", "--owner", "--password-stdin", "--data", str(data)]
    subprocess.run(make_owner, input=PASSWORD, text=True, check=True, capture_output=True, env=environment)
    ports = ["--port", str(port), "--web-port", str(free_port())]
    start = [*command, "start", "--no-runner", "--data", str(data), *ports]
    with subprocess.Popen(start, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("Data:"):
            assert process.poll() is None
        yield Server(f"http://localhost:{port}", data)
        process.terminate()


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
