"""The batch that a training had, from the version of the dataset on the server."""

import tempfile
from pathlib import Path
from typing import Any

from bench_agent.patience import Patience
from bench_agent.routes import Route
from bench_agent.some_samples import read_samples
from bench_auth import NotFoundError
from bench_data import batch_samples
from bench_deploy import BatchPlace

from bench_cli import cloud
from bench_cli.batch_files import write_batch
from bench_cli.errors import CliError

SECONDS = 30.0
"""How long a server is waited for that is away."""


def fetch_batch(
    place: BatchPlace, folder: Path, project: str | None, about: dict[str, Any]
) -> dict[str, Any]:
    """Write a batch to a folder; what its labels.json says.

    Args:
        place: Which.
        folder: Absent or empty.
        project: As for `cloud.find_project`.
        about: What labels.json says besides.

    Raises:
        CliError: The folder has something, or the project has not the dataset.
        AuthError, DataError, AgentError: It cannot be fetched.
    """
    if folder.exists() and any(folder.iterdir()):
        raise CliError(f"{folder} is not empty", hint="Name another folder with --to.")
    found = cloud.find_project(project)
    dataset, number = _version(found, place)
    route = Route(cloud.datasets(), found.id, Patience(SECONDS), lambda _: None)
    with tempfile.TemporaryDirectory(prefix="bench-batch-") as parts:
        samples = read_samples(
            route,
            Path(parts),
            dataset,
            number,
            lambda manifest: batch_samples(place.order, place.epoch, place.batch, manifest),
        )
        version = {"dataset": dataset, "version_number": number}
        return write_batch(folder, samples, {**about, "epoch": place.epoch, "batch": place.batch, **version})


def _version(project: Any, place: BatchPlace) -> tuple[str, int]:
    dataset, fingerprint = str(place.order.get("dataset")), place.order.get("fingerprint")
    try:
        versions = cloud.list_versions(project, dataset)
    except NotFoundError:
        versions = []
    for version in versions:
        if version.fingerprint == fingerprint:
            return dataset, version.version_number
    raise CliError(
        f"the project has not the version of the dataset {dataset!r} that the batch is from",
        hint=f"Push the dataset: bench_data.push({dataset!r}).",
    )
