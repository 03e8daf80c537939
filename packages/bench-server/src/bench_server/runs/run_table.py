"""The table of a project's runs: which are shown, in which order, with which columns."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import DurationField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import OrderBy
from django.db.models.functions import Coalesce, Lower, Now
from django.http import QueryDict

from bench_server.projects.models import Project
from bench_server.runs.models import Attempt, Run, RunTag
from bench_server.runs.services import runs_of
from bench_server.runs.states import State

COLUMNS = {
    "state": "State",
    "created": "Submitted",
    "duration": "Duration",
    "by": "By",
    "tags": "Tags",
    "group": "Group",
    "attempts": "Attempts",
    "datasets": "Datasets",
    "code": "Code",
    "command": "Command",
    "reason": "Reason",
}
"""What can be shown beside the name, by the words of addresses."""

FIRST_COLUMNS = ("state", "created", "duration", "by", "tags")
"""Shown unless others are chosen."""

ORDERS: dict[str, F | Lower] = {
    "name": Lower("name"),
    "state": F("state"),
    "created": F("pk"),
    "duration": F("duration"),
    "by": Lower("creator__username"),
    "group": Lower("group"),
    "attempts": F("number"),
    "reason": F("reason"),
}
"""What can be sorted by."""


@dataclass(frozen=True, kw_only=True)
class RunTable:
    """What an address asks for; words that mean nothing are passed over.

    Args:
        text: Runs whose name, tag, group, commit or maker has it.
        states: Only runs in one of these.
        sort: One of ORDERS.
        is_descending: The largest first.
        columns: Of COLUMNS, in their order.
    """

    text: str = ""
    states: tuple[State, ...] = ()
    sort: str = "created"
    is_descending: bool = True
    columns: tuple[str, ...] = FIRST_COLUMNS

    @classmethod
    def of(cls, query: QueryDict) -> "RunTable":
        """What an address's query asks for."""
        sort = query.get("sort", "-created")
        chosen = tuple(name for name in COLUMNS if name in query.getlist("column"))
        known = sort.removeprefix("-") in ORDERS
        return cls(
            text=query.get("q", "").strip()[:200].replace("\0", ""),
            states=tuple(state for state in State if state.name.lower() in query.getlist("state")),
            sort=sort.removeprefix("-") if known else "created",
            is_descending=sort.startswith("-") or not known,
            columns=chosen or FIRST_COLUMNS,
        )

    @property
    def heads(self) -> Sequence[tuple[str, str, str, str]]:
        """Of each column: its word, what people call it, what sorts by it (or nothing), `aria-sort`."""
        named = [("name", "Name"), *((name, COLUMNS[name]) for name in self.columns)]
        return [(name, title, self._next_sort(name), self._sorted(name)) for name, title in named]

    def _next_sort(self, name: str) -> str:
        if name not in ORDERS:
            return ""
        return name if name != self.sort or self.is_descending else f"-{name}"

    def _sorted(self, name: str) -> str:
        if name != self.sort:
            return ""
        return "descending" if self.is_descending else "ascending"

    def rows(self, project: Project) -> QuerySet[Run]:
        """The runs, each with the state, number and reason of its last attempt and how long that took."""
        latest = Attempt.objects.filter(run=OuterRef("pk")).order_by("-number")
        took = ExpressionWrapper(
            Coalesce(F("ended"), Now()) - Coalesce(F("started"), F("ended"), Now()), DurationField()
        )
        rows = runs_of(project).annotate(
            state=Subquery(latest.values("state")[:1]),
            number=Subquery(latest.values("number")[:1]),
            reason=Subquery(latest.values("reason")[:1]),
            started=Subquery(latest.values("start_time")[:1]),
            ended=Subquery(latest.values("end_time")[:1]),
        )
        rows = rows.annotate(duration=took)
        if self.states:
            rows = rows.filter(state__in=[state.value for state in self.states])
        if self.text:
            rows = rows.filter(self._has_text())
        order = OrderBy(ORDERS[self.sort], descending=self.is_descending, nulls_last=True)
        return rows.order_by(order, "-pk")

    def _has_text(self) -> Q:
        tagged = RunTag.objects.filter(run=OuterRef("pk"), tag__icontains=self.text)
        return (
            Q(name__icontains=self.text)
            | Q(group__icontains=self.text)
            | Q(creator__username__icontains=self.text)
            | Q(spec__git_commit__startswith=self.text.lower())
            | Q(Exists(tagged))
        )
