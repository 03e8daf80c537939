"""What open pages of runs are told: that a run has changed, and what its log has got."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from bench_server.access import Caller, Rule, allow
from bench_server.errors import Refused
from bench_server.runs import services
from bench_server.runs.log_pages import log_path
from bench_server.runs.log_store import size_of
from bench_server.runs.log_windows import WINDOW_BYTES, window_after, window_before
from bench_server.runs.models import Attempt
from bench_server.runs.views import mark_of, mark_of_project
from bench_server.web.live import Event, stream

BEHIND_BYTES = 4 * WINDOW_BYTES
"""A page that has more than that to catch up with is shown the end of the log."""


class RunEventsPage:
    """The events of a run: `run` (it has changed), and with an attempt's number and a source `log`."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, run_id: UUID) -> HttpResponseBase:
        """The stream. A mark is that of the run, and with a log the offset to go on from and its size."""
        run = services.find_run(caller.project, run_id)
        number = request.GET.get("attempt", "")
        path = log_path(services.find_attempt(run, int(number)), request) if number.isdigit() else None

        def look(mark: str) -> Sequence[Event]:
            run_mark, _, log_mark = mark.partition("/")
            last = Attempt.objects.filter(run=run_id).order_by("-number").first()
            if last is None:
                raise Refused("RUN_NOT_FOUND", "the run was deleted")
            events = [_log_event(path, log_mark)] if path else []
            found = [event for event in events if event is not None]
            log_mark = found[-1].mark if found else log_mark
            now = mark_of(last)
            marked = [
                Event(kind=event.kind, mark=f"{run_mark}/{event.mark}", data=event.data) for event in found
            ]
            if now != run_mark:  # after the log: at its end all of it is there
                marked.append(Event(kind="run", mark=f"{now}/{log_mark}"))
            return marked

        return stream(request, look)


class RunsEventsPage:
    """The events of a project's runs: `runs` when one of them has changed."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller) -> HttpResponseBase:
        """The stream."""
        project_id = caller.project.pk

        def look(mark: str) -> Sequence[Event]:
            now = mark_of_project(project_id)
            return [Event(kind="runs", mark=now)] if now != mark else []

        return stream(request, look)


def _log_event(path: Path, mark: str) -> Event | None:
    after, seen = (int(word) if word.isdigit() else 0 for word in (*mark.split("."), "", "")[:2])
    size = size_of(path)
    if size == seen:
        return None
    skips = size - after > BEHIND_BYTES
    window = window_before(path, size) if skips else window_after(path, after)
    data = {**window.to_json(), "skips": skips}
    return Event(kind="log", mark=f"{window.after}.{window.end}", data=data)
