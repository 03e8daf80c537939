"""What open pages of runs are told: that a run has changed, and what its log has got."""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from bench_server.access import Caller, Rule, allow
from bench_server.errors import Refused
from bench_server.runs import services
from bench_server.runs.log_pages import log_path
from bench_server.runs.log_store import size_of
from bench_server.runs.log_windows import WINDOW_BYTES, window_after, window_before
from bench_server.runs.models import Attempt, Run
from bench_server.runs.views import mark_of, mark_of_project
from bench_server.tracks.charts import series_of
from bench_server.tracks.pages import brief, received, received_in
from bench_server.web.live import Event, stream
from bench_server.web.numbers import number_in

BEHIND_BYTES = 4 * WINDOW_BYTES
"""A page that has more than that to catch up with is shown the end of the log."""

LOGGED_SECONDS = 3.0
"""Between looks at what all runs of a project logged."""

SERIES_SECONDS = 2.0
"""Between two events about what a run logged."""


class RunEventsPage:
    """The events of a run: `run` (it has changed), `series` (its names, with their last values), and `log`.

    The last only with an attempt's number and a source.
    """

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, run_id: UUID) -> HttpResponseBase:
        """The stream."""
        run = services.find_run(caller.project, run_id)
        number = number_in(request, "attempt")
        return stream(
            request, _Looker(run, log_path(services.find_attempt(run, number), request) if number else None)
        )


class _Looker:
    """Looks for what is new of a run. A mark is RUN/LOG/SERIES: how far each was told."""

    def __init__(self, run: Run, log: Path | None) -> None:
        self._run, self._log = run, log
        self._told = 0.0

    def __call__(self, mark: str) -> Sequence[Event]:
        told = (*mark.split("/"), "", "", "")[:3]
        last = Attempt.objects.filter(run=self._run.pk).order_by("-number").first()
        if last is None:
            raise Refused("RUN_NOT_FOUND", "the run was deleted")
        news: list[tuple[str, int, str, dict[str, Any]]] = []
        if found := _log_news(self._log, told[1]) if self._log else None:
            news.append(("log", 1, *found))
        if found := self._series_news(told[2]):
            news.append(("series", 2, *found))
        if (now := mark_of(last)) != told[0]:  # last: at the run's end all of it is there
            news.append(("run", 0, now, {}))
        return list(_events(list(told), news))

    def _series_news(self, told: str) -> tuple[str, dict[str, Any]] | None:
        if time.monotonic() - self._told < SERIES_SECONDS:
            return None
        now = str(received(self._run.pk))
        if now == (told or "0"):
            return None
        self._told = time.monotonic()
        return now, {"series": [brief(series) for series in series_of(self._run)]}


def _events(marks: list[str], news: Iterable[tuple[str, int, str, dict[str, Any]]]) -> Iterator[Event]:
    for kind, place, mark, data in news:
        marks[place] = mark
        yield Event(kind=kind, mark="/".join(marks), data=data)


class RunsEventsPage:
    """The events of a project's runs: `runs` when one of them has changed."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller) -> HttpResponseBase:
        """The stream; with `logged` in the address also when one has logged something."""
        project_id, looked = caller.project.pk, [0.0, 0]

        def look(mark: str) -> Sequence[Event]:
            if request.GET.get("logged") and time.monotonic() - looked[0] >= LOGGED_SECONDS:
                looked[:] = time.monotonic(), received_in(project_id)
            now = f"{mark_of_project(project_id)}/{looked[1] or mark.partition('/')[2]}"
            return [Event(kind="runs", mark=now)] if now != mark else []

        return stream(request, look)


def _log_news(path: Path, mark: str) -> tuple[str, dict[str, Any]] | None:
    after, seen = (int(word) if word.isdigit() else 0 for word in (*mark.split("."), "", "")[:2])
    size = size_of(path)
    if size == seen:
        return None
    skips = size - after > BEHIND_BYTES
    window = window_before(path, size) if skips else window_after(path, after)
    return f"{window.after}.{window.end}", {**window.to_json(), "skips": skips}
