"""Which batch was logged at a step: the loader's order, and the batch's place in it; of which datasets."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench_server.datasets.models import Version
from bench_server.errors import Refused
from bench_server.projects.models import Project
from bench_server.runs.models import Attempt, Run
from bench_server.tracks.models import Block, Order, Series
from bench_server.tracks.points import batches_of, points_of


@dataclass(frozen=True)
class ReadDataset:
    """A dataset that a loader of a run went through.

    Args:
        name: The dataset's.
        fingerprint: That of the version.
        version: That version, if the run's project has it.
    """

    name: str
    fingerprint: str
    version: Version | None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch of a loader.

    Args:
        order: What `bench_data.batch_samples` takes: dataset, seed, batch size and more; not checked here.
        epoch: The epoch.
        batch: Of this rank in the epoch, from 0.
    """

    order: dict[str, Any]
    epoch: int
    batch: int


def datasets_read(run: Run) -> list[ReadDataset]:
    """The datasets that the loaders of a run went through, each version once, by name."""
    orders = Order.objects.filter(track__attempt__run=run).values_list("order", flat=True)
    read = {(str(order.get("dataset")), str(order.get("fingerprint"))): order for order in orders}
    return [
        ReadDataset(name, fingerprint, version_of(run.project, order))
        for (name, fingerprint), order in sorted(read.items())
    ]


def version_of(project: Project, order: dict[str, Any]) -> Version | None:
    """The project's version of the dataset that a loader went through; None: it has none such."""
    versions = Version.objects.select_related("dataset__project").filter(dataset__project=project)
    name, fingerprint = str(order.get("dataset")), str(order.get("fingerprint"))
    return versions.filter(dataset__name=name, fingerprint=fingerprint).order_by("number").first()


def batch_at(attempt: Attempt, rank: int, step: int) -> Batch:
    """The batch that a rank had last when it logged a step; of several the latest.

    Raises:
        Refused: BATCH_NOT_FOUND.
    """
    rows = Series.objects.filter(track__attempt=attempt, track__rank=rank, first_step__lte=step)
    for series in rows.order_by("-last_time"):
        if (found := _batch_in(series, step)) is None:
            continue
        order = Order.objects.filter(track=series.track_id, number=int(found["order"])).first()
        if order is not None:
            return Batch(order=order.order, epoch=int(found["epoch"]), batch=int(found["batch"]))
    raise Refused(
        "BATCH_NOT_FOUND",
        f"at step {step:,} of attempt {attempt.number}, rank {rank}, nothing says which batch it was",
        hint="It is known where a training logs while it goes through a bench_data loader.",
    )


def _batch_in(series: Series, step: int) -> Any:
    """The last known batch of a step in a series; None if there is none."""
    tail = points_of(series.tail)
    if (found := _last(tail["step"], series.tail_batches, step)) is not None:
        return found
    blocks = Block.objects.filter(series=series, first_step__lte=step, last_step__gte=step)
    for block in blocks.order_by("-start")[:2]:
        if (found := _last(points_of(block.points)["step"], block.batches, step)) is not None:
            return found
    return None


def _last(steps: Any, batches: bytes | memoryview, step: int) -> Any:
    if not len(batches):
        return None
    known = batches_of(batches, len(steps))
    places = np.flatnonzero((steps == step) & (known["order"] > 0))
    return known[places[-1]] if len(places) else None
