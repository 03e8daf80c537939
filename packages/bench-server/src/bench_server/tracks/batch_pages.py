"""The samples that a training had when it logged a step."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse

from bench_server.access import Caller, Rule, allow
from bench_server.datasets.models import Version
from bench_server.datasets.preview import samples_at
from bench_server.datasets.samples import samples_of_batch
from bench_server.errors import Refused
from bench_server.projects.models import Project
from bench_server.runs import services
from bench_server.runs.views import find, show_run
from bench_server.tracks.batches import batch_at, version_of
from bench_server.web.numbers import number_in
from bench_server.web.pages import part_of


class RunBatchPage:
    """A run: the batch of a step."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, run_id: UUID) -> HttpResponse:
        """Its images and labels, in the batch's order."""
        view = find(caller, run_id)
        attempt = services.find_attempt(view.run, number_in(request, "attempt"))
        rank, step = number_in(request, "rank"), number_in(request, "step")
        batch = batch_at(attempt, rank, step)
        version = _version(caller.project, batch.order)
        numbers = part_of(request, samples_of_batch(version, batch.order, batch.epoch, batch.batch))
        return show_run(
            request,
            caller,
            "tracks/batch.html",
            view,
            attempt=attempt,
            rank=rank,
            step=step,
            batch=batch,
            version=version,
            numbers=numbers,
            samples=samples_at(version, numbers),
        )


def _version(project: Project, order: dict[str, object]) -> Version:
    """The version of a loader's dataset.

    Raises:
        Refused: BATCH_NOT_FOUND: the project has none such.
    """
    if found := version_of(project, order):
        return found
    name = str(order.get("dataset"))[:100]
    raise Refused(
        "BATCH_NOT_FOUND",
        f"the project has not the version of the dataset {name!r} that the batch is from",
        hint=f"Push the dataset: bench_data.push({name!r}).",
    )
