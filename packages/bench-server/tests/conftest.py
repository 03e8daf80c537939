"""One server in this process for the tests of its calls, on SQLite or what BENCH_DATABASE_URL names."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(tempfile.mkdtemp(prefix="bench-server-tests-"))


def pytest_configure() -> None:
    from bench_server.data_folder import open_folder

    open_folder(FOLDER, create=True)
    os.environ["BENCH_SERVER_DATA"] = str(FOLDER)
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench_server.settings"
    import django

    django.setup()


@pytest.fixture(scope="session")
def server_address() -> Iterator[str]:
    from bench_server.data_folder import open_folder
    from bench_server.database import migrate

    folder = open_folder(FOLDER)
    migrate(folder)
    from bench_server.rpc.serving import AttemptsServer, RpcServer

    server, attempts = RpcServer([f"unix:{folder.socket}"]), AttemptsServer(folder)
    yield f"unix:{folder.socket}"
    attempts.stop()
    server.stop(0)


@pytest.fixture(scope="session")
def attempts_address(server_address: str) -> str:
    from bench_server.data_folder import open_folder

    return f"unix:{open_folder(FOLDER).attempts_socket}"
