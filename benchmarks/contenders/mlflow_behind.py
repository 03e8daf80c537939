"""MLflow, whose calls do not wait for the server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.contenders import mlflow_server


@contextmanager
def open_log(scratch: Path) -> Iterator[mlflow_server.Logged]:
    with mlflow_server.open_log(scratch, is_waiting=False) as logged:
        yield logged
