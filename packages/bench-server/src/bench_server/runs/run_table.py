"""The table of a project's runs: which are shown, in which order, with which columns."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db.models import DurationField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import Expression, OrderBy
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Coalesce, Lower, Now
from django.http import QueryDict

from bench_server.projects.models import Project
from bench_server.runs.comparing import flat
from bench_server.runs.models import Attempt, Run, RunTag
from bench_server.runs.services import runs_of
from bench_server.runs.states import State
from bench_server.tracks.charts import last_values
from bench_server.tracks.models import Series

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


METRIC, CONFIG, SUMMARY = "metric:", "config:", "summary:"
"""Before the name of a series whose last value is shown, or of a part of the config or the summary."""

MOST_COLUMNS = 40
MOST_CHARACTERS = 300
UNQUOTED = frozenset('"\\')
"""What SQLite takes in no path into JSON."""

CHOICES = 200
"""Of each kind of what runs logged, that can be chosen."""


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
        asked = dict.fromkeys(query.getlist("column"))
        chosen = (*(name for name in COLUMNS if name in asked), *filter(_is_logged, asked))[:MOST_COLUMNS]
        known = sort.removeprefix("-") in ORDERS or _is_logged(sort.removeprefix("-"))
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
        titles = ((name, COLUMNS.get(name) or name.partition(":")[2]) for name in self.columns)
        named = [("name", "Name"), *titles]
        return [(name, title, self._next_sort(name), self._sorted(name)) for name, title in named]

    def _next_sort(self, name: str) -> str:
        if name not in ORDERS and not _is_logged(name):
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
        by = ORDERS[self.sort] if self.sort in ORDERS else _logged(self.sort)
        return rows.order_by(OrderBy(by, descending=self.is_descending, nulls_last=True), "-pk")

    def logged(self, runs: Iterable[Run]) -> None:
        """Give runs what the columns of what was logged show of them, as `logged`."""
        shown = list(runs)
        metrics = [name.partition(":")[2] for name in self.columns if name.startswith(METRIC)]
        values = last_values([run.pk for run in shown], metrics) if metrics else {}
        for run in shown:
            found = {METRIC + name: value for name, value in values.get(run.pk, {}).items()}
            texts = {name: "NaN" if value is None else f"{value:.5g}" for name, value in found.items()}
            texts |= dict(_said(run))
            run.logged = {name: texts.get(name, "") for name in self.columns}  # type: ignore[attr-defined]

    def _has_text(self) -> Q:
        tagged = RunTag.objects.filter(run=OuterRef("pk"), tag__icontains=self.text)
        return (
            Q(name__icontains=self.text)
            | Q(group__icontains=self.text)
            | Q(creator__username__icontains=self.text)
            | Q(spec__git_commit__startswith=self.text.lower())
            | Q(Exists(tagged))
        )


def logged_columns(runs: Iterable[Run]) -> list[tuple[str, list[str]]]:
    """What columns there can be of what some runs logged: what people call them, and the words of each."""
    shown = list(runs)
    series = Series.objects.filter(track__attempt__run__in=shown, count__gt=0)
    metrics = series.order_by("name").values_list("name", flat=True).distinct()[:CHOICES]
    said = sorted({name for run in shown for name, _ in _said(run)})
    return [
        ("Last values", [METRIC + name for name in metrics]),
        ("Summary", [name for name in said if name.startswith(SUMMARY)][:CHOICES]),
        ("Config", [name for name in said if name.startswith(CONFIG)][:CHOICES]),
    ]


def _said(run: Run) -> Iterator[tuple[str, str]]:
    """The values of a run's config and summary, by the words of their columns."""
    for kind, values in ((CONFIG, run.config), (SUMMARY, run.summary)):
        for name, value in flat("", values) if values else ():
            yield kind + name, value


def _is_logged(name: str) -> bool:
    kind, _, of = name.partition(":")
    if f"{kind}:" not in (METRIC, CONFIG, SUMMARY) or len(name) > MOST_CHARACTERS or not of.isprintable():
        return False
    return bool(of) if f"{kind}:" == METRIC else all(of.split(".")) and not UNQUOTED & set(of)


def _logged(name: str) -> Expression | Subquery:
    """What sorts by what runs logged."""
    kind, _, of = name.partition(":")
    if f"{kind}:" == METRIC:
        series = Series.objects.filter(track__attempt__run=OuterRef("pk"), name=of, count__gt=0)
        return Subquery(series.order_by("-last_time").values("last")[:1])
    first, *rest = of.split(".")
    part = KeyTransform(first, kind)
    for level in rest:
        part = KeyTransform(level, part)
    return part
