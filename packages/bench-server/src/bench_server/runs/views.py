"""A run as its pages show it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

from django.db.models import Count, Max, Sum
from django.http import HttpRequest, HttpResponse

from bench_server.access import Caller
from bench_server.runs import services
from bench_server.runs.comparing import flat
from bench_server.runs.models import Attempt, Run
from bench_server.runs.spec import RunSpec
from bench_server.runs.states import EXTERNAL, REASONS
from bench_server.tracks.pages import received
from bench_server.web.pages import show


@dataclass(frozen=True)
class RunView:
    """A run as its pages show it.

    Args:
        run: With its attempts.
    """

    run: Run

    @cached_property
    def last(self) -> Attempt:
        """The newest attempt."""
        return self.run.last_attempt

    @cached_property
    def spec(self) -> RunSpec:
        """What is run, and with what."""
        return RunSpec.from_json(self.run.spec)

    @cached_property
    def attempts(self) -> list[Attempt]:
        """The newest first."""
        return sorted(self.run.attempts.all(), key=lambda attempt: -attempt.number)

    @property
    def mark(self) -> str:
        """Where the stream of events goes on from, for a page that was made now and has no log."""
        return f"{mark_of(self.last)}//{self.received}"

    @cached_property
    def received(self) -> int:
        """How far that is for what the run logged; to be read before that."""
        return received(self.run.pk)

    @property
    def why(self) -> str:
        """What people are told about the state."""
        attempt = self.last
        if attempt.has_ended:
            return attempt.message or REASONS[attempt.reason].meaning
        if attempt.stop_request_time:
            return f"{attempt.stopper.username} asked it to stop" if attempt.stopper else "it is to stop"
        return attempt.waiting_for and f"waits for {attempt.waiting_for}"

    @property
    def config(self) -> list[tuple[str, str]]:
        """What the training says that it is configured with, by dotted names."""
        return list(flat("", self.run.config)) if self.run.config else []

    @property
    def summary(self) -> list[tuple[str, str]]:
        """What the training says that came of it, by dotted names."""
        return list(flat("", self.run.summary)) if self.run.summary else []

    @property
    def is_external(self) -> bool:
        """Whether it was started elsewhere."""
        return self.last.engine == EXTERNAL

    @property
    def can_be_stopped(self) -> bool:
        """Whether it has not ended here, and nobody has asked for that."""
        return not self.is_external and not self.last.has_ended and self.last.stop_request_time is None


def find(caller: Caller, run_id: UUID) -> RunView:
    """A run of the project.

    Raises:
        Refused: RUN_NOT_FOUND.
    """
    return RunView(services.find_run(caller.project, run_id))


def show_run(
    request: HttpRequest, caller: Caller, template: str, view: RunView, **context: Any
) -> HttpResponse:
    """A page of a run, with what all of them have."""
    return show(request, template, place=caller.place, view=view, run=view.run, request_id=uuid4(), **context)


def mark_of(attempt: Attempt) -> str:
    """Another one after each change of a run."""
    return f"{attempt.number}.{attempt.change}"


def mark_of_project(project_id: UUID) -> str:
    """Another one after each change of a project's runs."""
    attempts = Attempt.objects.filter(run__project=project_id)
    found = attempts.aggregate(count=Count("pk"), changes=Sum("change"), newest=Max("create_time"))
    newest = found["newest"].timestamp() if found["count"] else 0  # no database's max(uuid): not all have it
    return f"{found['count']}.{found['changes'] or 0}.{newest:.6f}"
