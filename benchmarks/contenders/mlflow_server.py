"""MLflow, with a server on this machine."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read at its import

import mlflow

from benchmarks.servers import mlflow_server


class Logged:
    """A run of MLflow's.

    Args:
        is_waiting: Whether a call returns when the server has its values, which is the default.
    """

    def __init__(self, *, is_waiting: bool) -> None:
        self._is_waiting = is_waiting
        self._run_id: str = mlflow.start_run().info.run_id
        self._names: set[str] = set()

    def log(self, values: Mapping[str, float], step: int) -> None:
        mlflow.log_metrics(values, step=step, synchronous=self._is_waiting)
        self._names.update(values)

    def stored(self) -> int:
        if not self._is_waiting:
            mlflow.flush_async_logging()
        mlflow.end_run()
        client = mlflow.MlflowClient()
        return sum(len(client.get_metric_history(self._run_id, name)) for name in self._names)


@contextmanager
def open_log(scratch: Path, *, is_waiting: bool = True) -> Iterator[Logged]:
    with mlflow_server(scratch / "mlflow") as address:
        mlflow.set_tracking_uri(address)
        mlflow.set_experiment("benchmarks")
        yield Logged(is_waiting=is_waiting)
