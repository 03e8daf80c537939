"""The files that a run left, in the browser."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from bench_server.access import Caller, Rule, allow
from bench_server.runs import files, services
from bench_server.runs.views import find, show_run
from bench_server.tracks import checkpoints
from bench_server.web.downloads import download
from bench_server.web.pages import part_of

CHECKPOINTS = 200
"""That are listed."""


class RunFilesPage:
    """A run: its files."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, run_id: UUID) -> HttpResponse:
        """Its checkpoints, and all files or those whose path has a text."""
        view, text = find(caller, run_id), request.GET.get("q", "").strip()
        everything = files.files_of(view.run)
        found = [file for file in everything if text.lower() in file.path.lower()]
        latest = checkpoints.latest(view.run, CHECKPOINTS)
        places = checkpoints.places(view.run, latest)
        return show_run(
            request,
            caller,
            "runs/files.html",
            view,
            files=part_of(request, found),
            has_files=bool(everything),
            text=text,
            checkpoints=[(one, places[one.pk].name) for one in latest],
        )


class RunFilePage:
    """One of its files."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, run_id: UUID, path: str) -> HttpResponseBase:
        """Its bytes, or a range of them; never as a page."""
        run = services.find_run(caller.project, run_id)
        name = path.rpartition("/")[2]
        return download(request, name, files.size_of(run, path), lambda *span: files.read(run, path, *span))
