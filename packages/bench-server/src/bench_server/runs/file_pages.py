"""The files that a run left, in the browser."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from bench_server.access import Caller, Rule, allow
from bench_server.runs import artifacts, services
from bench_server.runs.views import find, show_run
from bench_server.web.downloads import download
from bench_server.web.pages import part_of


class RunFilesPage:
    """A run: its files."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, run_id: UUID) -> HttpResponse:
        """The list."""
        view = find(caller, run_id)
        files = part_of(request, artifacts.artifacts_of(view.run))
        return show_run(request, caller, "runs/files.html", view, files=files)


class RunFilePage:
    """One of its files."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, run_id: UUID, path: str) -> HttpResponseBase:
        """Its bytes, or a range of them; never as a page."""
        run = services.find_run(caller.project, run_id)
        size = artifacts.size_of_artifact(run, path)
        name = path.rpartition("/")[2]
        return download(request, name, size, lambda *span: artifacts.read_artifact(run, path, *span))
