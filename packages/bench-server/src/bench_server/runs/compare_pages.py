"""Runs beside each other: their charts over each other, and what they were made of."""

from django.http import HttpRequest, HttpResponse

from bench_server.access import Caller, Rule, allow, uuid_of
from bench_server.errors import invalid
from bench_server.runs import services
from bench_server.runs.comparing import compare
from bench_server.tracks.pages import board_of
from bench_server.web.pages import show

MOST = 12
"""Runs that are compared: more colours cannot be told apart."""


class ComparePage:
    """Some runs of a project."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """Those that the address names, each once and in its order."""
        ids = list(dict.fromkeys(uuid_of("run", text) for text in request.GET.getlist("run")))
        if not 1 <= len(ids) <= MOST:
            raise invalid("run", f"must name 1 to {MOST} runs", hint="Choose them in the table of runs.")
        runs = [services.find_run(caller.project, run_id) for run_id in ids]
        found = compare(runs)
        return show(
            request,
            "runs/compare.html",
            place=caller.place,
            runs=runs,
            different=[one for one in found if one.differs],
            same=[one for one in found if not one.differs],
            board=board_of(runs),
        )
