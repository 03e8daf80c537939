"""The pages of runs: the table, a run, and what can be done with one."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from bench_server.access import Caller, Rule, allow, uuid_of
from bench_server.errors import Refused
from bench_server.runs import services
from bench_server.runs.run_table import COLUMNS, METRIC, RunTable, logged_columns
from bench_server.runs.states import State
from bench_server.runs.views import find, mark_of_project, show_run
from bench_server.tracks.batches import datasets_read
from bench_server.tracks.pages import board_of, received_in
from bench_server.web.pages import go, page_of, show


class RunsPage:
    """A project: its runs."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """The table."""
        table = RunTable.of(request.GET)
        shows_values = any(name.startswith(METRIC) for name in table.columns)
        logged = received_in(caller.project.pk) if shows_values else ""
        mark = f"{mark_of_project(caller.project.pk)}/{logged}"  # before the rows: changes meanwhile are seen
        rows = page_of(request, table.rows(caller.project))
        table.logged(rows)
        return show(
            request,
            "runs/runs.html",
            place=caller.place,
            table=table,
            rows=rows,
            logged_columns=logged_columns(rows),
            has_runs=caller.project.runs.exists(),
            states=list(State),
            all_columns=COLUMNS,
            mark=mark,
            query="logged=1" if shows_values else "",
        )


class RunPage:
    """A run: how it goes."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, run_id: UUID) -> HttpResponse:
        """Its attempts and charts."""
        view = find(caller, run_id)
        mark = view.mark  # before the series: what comes meanwhile is told then
        board = board_of([view.run])
        return show_run(request, caller, "runs/overview.html", view, mark=mark, board=board)


class RunSetupPage:
    """A run: what it was made of."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, run_id: UUID) -> HttpResponse:
        """Its command, code, datasets, image."""
        view = find(caller, run_id)
        read = datasets_read(view.run) if view.is_external else []
        return show_run(request, caller, "runs/setup.html", view, read=read)


class StopRunPage:
    """The end of a run that goes on."""

    @allow(Rule.MEMBER)
    def post(self, request: HttpRequest, caller: Caller, run_id: UUID) -> HttpResponse:
        """Ask for it."""
        run = services.find_run(caller.project, run_id)
        services.stop(run, caller.user)
        return go("run", caller.project.pk, run.pk)


class ResumeRunPage:
    """Another attempt of a run that has ended."""

    @allow(Rule.MEMBER)
    def post(self, request: HttpRequest, caller: Caller, run_id: UUID) -> HttpResponse:
        """Queue it; a form that is sent twice makes one."""
        run = services.find_run(caller.project, run_id)
        services.resume(run, uuid_of("request_id", request.POST.get("request_id", "")))
        return go("run", caller.project.pk, run.pk)


class DeleteRunPage:
    """The end of all that is kept of a run."""

    @allow(Rule.MEMBER)
    def get(
        self, request: HttpRequest, caller: Caller, run_id: UUID, refused: Refused | None = None
    ) -> HttpResponse:
        """What goes with it."""
        run = services.find_run(caller.project, run_id)
        return show(request, "runs/delete.html", refused, place=caller.place, run=run)

    @allow(Rule.MEMBER)
    def post(self, request: HttpRequest, caller: Caller, run_id: UUID) -> HttpResponse:
        """Delete it."""
        run = services.find_run(caller.project, run_id)
        try:
            services.delete_run(run)
        except Refused as refused:
            return self.get(request, caller, run_id, refused)
        messages.success(request, f"{run.name} is deleted.")
        return go("runs", caller.project.pk)
