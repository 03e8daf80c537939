"""What a run logged, for the scripts of its pages."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.db.models import Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse

from bench_server.access import Caller, Rule, allow
from bench_server.runs import services
from bench_server.runs.models import Run
from bench_server.tracks.charts import LAST_STEP, Listed, chart, series_of
from bench_server.tracks.models import Track
from bench_server.web.numbers import number_in

WIDTH = 1000
"""Columns of a chart whose width is not said."""


class RunChartPage:
    """A series of a run, as it is drawn."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, run_id: UUID) -> HttpResponse:
        """Its lines in a range of steps, in no more columns than are asked for."""
        run = services.find_run(caller.project, run_id)
        name = request.GET.get("series", "")
        lines = chart(
            run,
            name,
            first=number_in(request, "from"),
            last=number_in(request, "to", LAST_STEP),
            width=number_in(request, "width", WIDTH),
        )
        return JsonResponse({"series": name, "lines": [asdict(line) for line in lines]})


def board_of(runs: list[Run]) -> dict[str, Any]:
    """What the script of charts begins with: the runs, and the series of all of them."""
    listed: dict[str, Listed] = {}
    for run in runs:
        for series in series_of(run):
            listed[series.name] = listed[series.name].beside(series) if series.name in listed else series
    return {
        "runs": [
            {"name": run.name, "chart": _address("run-chart", run), "batch": _address("run-batch", run)}
            for run in runs
        ],
        "series": [brief(series) for _, series in sorted(listed.items())],
    }


def brief(series: Listed) -> dict[str, Any]:
    """A series as scripts know it."""
    known = asdict(series)
    return {name: known[name] for name in ("name", "count", "first_step", "last_step", "last", "min", "max")}


def received(run_id: UUID) -> int:
    """Another number after each change of what a run logged."""
    tracks = Track.objects.filter(attempt__run=run_id)
    return tracks.aggregate(total=Sum("received"))["total"] or 0


def received_in(project_id: UUID) -> int:
    """The same for all runs of a project."""
    tracks = Track.objects.filter(attempt__run__project=project_id)
    return tracks.aggregate(total=Sum("received"))["total"] or 0


def _address(name: str, run: Run) -> str:
    return reverse(name, args=[run.project_id, run.pk])
