"""The log of a run, in the browser: its end, followed; any part of it; a search; the whole as a file."""

from pathlib import Path
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.http import urlencode

from bench_server.access import Caller, Rule, allow
from bench_server.runs import log_store, services
from bench_server.runs.log_windows import Window, search, window_after, window_at, window_before
from bench_server.runs.models import Attempt
from bench_server.runs.views import find, mark_of, show_run
from bench_server.web.downloads import download
from bench_server.web.numbers import number_in

MAX_SEARCH = 200
"""Characters that are searched for."""


class RunLogPage:
    """A run: what it wrote."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, run_id: UUID) -> HttpResponse:
        """The end of it, or what is around an offset; with a text to search for, the lines that have it."""
        view = find(caller, run_id)
        attempt = services.find_attempt(view.run, number_in(request, "attempt"))
        path, text = log_path(attempt, request), request.GET.get("q", "").strip()[:MAX_SEARCH]
        window = _window(path, request)
        return show_run(
            request,
            caller,
            "runs/log.html",
            view,
            attempt=attempt,
            source=source_of(request),
            query=urlencode({"attempt": str(attempt.number), "source": source_of(request)}),
            window=window,
            is_at_end=window.end >= window.size,
            text=text,
            found=search(path, text, number_in(request, "from")) if text else None,
            log_mark=f"{mark_of(view.last)}/{window.after}.{window.end}/{view.received}",
        )


class RunLogLinesPage:
    """Lines of a log, for the script of that page."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, run_id: UUID) -> HttpResponse:
        """A window of it: before, after or around an offset."""
        run = services.find_run(caller.project, run_id)
        path = log_path(services.find_attempt(run, number_in(request, "attempt")), request)
        return JsonResponse(_window(path, request).to_json())


class RunLogFilePage:
    """A log as a file."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, run_id: UUID) -> HttpResponseBase:
        """Its bytes as they were written."""
        run = services.find_run(caller.project, run_id)
        attempt = services.find_attempt(run, number_in(request, "attempt"))
        path = log_path(attempt, request)
        name = f"{run.name}-{attempt.number}{'-build' if source_of(request) == 'build' else ''}.log"
        return download(request, name, log_store.size_of(path), lambda *span: log_store.pieces(path, *span))


def log_path(attempt: Attempt, request: HttpRequest) -> Path:
    """Where the log that an address names lies."""
    return log_store.build_path_of(attempt) if source_of(request) == "build" else log_store.path_of(attempt)


def source_of(request: HttpRequest) -> str:
    """Which log an address names: that of the making of the image, or what the training wrote."""
    return "build" if request.GET.get("source") == "build" else "output"


def _window(path: Path, request: HttpRequest) -> Window:
    for name, part in (("at", window_at), ("after", window_after), ("before", window_before)):
        if name in request.GET:
            return part(path, number_in(request, name))
    return window_before(path, log_store.size_of(path))
