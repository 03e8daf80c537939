"""One server in this process for the tests of its calls, on SQLite or what BENCH_DATABASE_URL names."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

DATABASE_VARIABLE = "BENCH_DATABASE_URL"
FOLDER = Path(tempfile.mkdtemp(prefix="bench-server-tests-"))


def pytest_configure(config: pytest.Config) -> None:
    from bench_server.data_folder import open_folder

    if DATABASE_VARIABLE in os.environ and hasattr(config, "workerinput"):
        config.add_cleanup(_have_own_database())
    config.add_cleanup(partial(shutil.rmtree, FOLDER, ignore_errors=True))
    open_folder(FOLDER, create=True)
    os.environ["BENCH_SERVER_DATA"] = str(FOLDER)
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench_server.settings"
    import django

    django.setup()


def _have_own_database() -> Callable[[], None]:
    """Have this worker use a database of its own, beside the one that is given; returns what removes it."""
    from agent_tools import empty_database

    made = contextlib.ExitStack()
    os.environ[DATABASE_VARIABLE] = made.enter_context(empty_database(os.environ[DATABASE_VARIABLE]))
    return made.close


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
