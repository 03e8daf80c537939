"""The pages of a project's code versions."""

from django.http import HttpRequest, HttpResponse

from bench_server.access import Caller, Rule, allow
from bench_server.code import services
from bench_server.errors import Refused
from bench_server.runs.services import runs_of
from bench_server.web.pages import page_of, part_of, show

RUNS = 20
"""Of a version, that its page lists."""


class CodePage:
    """A project: the versions of its code."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """The list."""
        versions = page_of(request, services.versions_of(caller.project))
        return show(request, "code/versions.html", place=caller.place, versions=versions)


class CodeVersionPage:
    """A version: its files, datasets and runs."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, number: int) -> HttpResponse:
        """The version of that very number."""
        if number < 1:
            raise Refused("PROJECT_VERSION_NOT_FOUND", f"{caller.project.name} has no version {number}")
        version = services.find_version(caller.project, number)
        return show(
            request,
            "code/version.html",
            place=caller.place,
            version=version,
            files=part_of(request, version.bundle.files),
            runs=runs_of(caller.project).filter(spec__project_version_number=number)[:RUNS],
        )
