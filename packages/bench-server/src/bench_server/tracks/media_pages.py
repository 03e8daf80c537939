"""The images, histograms, texts and tables that a run logged."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Max, Min, QuerySet
from django.http import HttpRequest, HttpResponse

from bench_server.access import Caller, Rule, allow
from bench_server.datasets.preview import image_type
from bench_server.errors import Refused
from bench_server.runs import services
from bench_server.runs.models import Run
from bench_server.runs.views import find, show_run
from bench_server.tracks import media_files
from bench_server.tracks.charts import LAST_STEP
from bench_server.tracks.media_views import Bar, TableView, bars, counted, table, text
from bench_server.tracks.models import Media
from bench_server.web.numbers import number_in

NAMES = 100
"""Shown on a page."""

ITEMS = 32
"""Of one name at one step."""

CONTENT_BYTES = 32 << 20
"""What is larger is not shown."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One of the media of a run, as it is shown.

    Args:
        media: The row.
        kind: What it is shown as: "image", "histogram", "text", "table", or "nothing".
        caption: What the training said of it.
        bars: Of a histogram.
        text: Of a text; of nothing why.
        table: Of a table.
    """

    media: Media
    kind: str
    caption: str = ""
    bars: list[Bar] | None = None
    text: str = ""
    table: TableView | None = None


class RunMediaPage:
    """A run: what it logged beside numbers."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, run_id: UUID) -> HttpResponse:
        """For each name what it logged last up to a step."""
        view = find(caller, run_id)
        step = number_in(request, "step", LAST_STEP)
        everything = Media.objects.filter(track__attempt__run=view.run).select_related("track__attempt")
        here = everything.filter(step__lte=step)
        now = here.aggregate(Max("step"))["step__max"]
        return show_run(
            request,
            caller,
            "tracks/media.html",
            view,
            groups=_groups(here),
            has_media=everything.exists(),
            step=now,
            earlier=everything.filter(step__lt=now).aggregate(Max("step"))["step__max"]
            if now is not None
            else None,
            later=everything.filter(step__gt=step).aggregate(Min("step"))["step__min"],
        )


class RunMediumPage:
    """An image that a run logged."""

    @allow(Rule.MEMBER)
    def get(self, request: HttpRequest, caller: Caller, run_id: UUID, number: int) -> HttpResponse:
        """The image, as what its bytes are and never as a page."""
        run = services.find_run(caller.project, run_id)
        content = media_files.read(_find(run, number))
        kind = image_type(content)
        if kind is None:
            raise _not_there()
        response = HttpResponse(content, content_type=kind)
        response["Cache-Control"] = "private, max-age=86400"
        response["Content-Security-Policy"] = "default-src 'none'; sandbox"
        response["Cross-Origin-Resource-Policy"] = "same-origin"
        return response


def _find(run: Run, number: int) -> Media:
    rows = Media.objects.filter(track__attempt__run=run, size__lte=CONTENT_BYTES).select_related(
        "track__attempt"
    )
    found = rows.filter(pk=number).first() if number < 1 << 63 else None
    if found is None:
        raise _not_there()
    return found


def _not_there() -> Refused:
    return Refused("BLOB_NOT_FOUND", "the run has logged no such image")


def _groups(rows: "QuerySet[Media]") -> list[tuple[str, int, list[Shown]]]:
    """By name: the step, and what was logged at it."""
    newest = rows.values("name").annotate(latest=Max("step")).order_by("name")[:NAMES]
    found = []
    for group in newest:
        items = rows.filter(name=group["name"], step=group["latest"]).order_by(
            "-track__attempt__number", "pk"
        )
        found.append((group["name"], group["latest"], [_shown(media) for media in items[:ITEMS]]))
    return found


def _shown(media: Media) -> Shown:
    kind, caption = media.header.get("type"), media.header.get("caption")
    caption = caption[:500] if isinstance(caption, str) else ""
    if media.size > CONTENT_BYTES:
        return Shown(media=media, kind="nothing", caption=caption, text="it is too large to be shown")
    try:
        content = media_files.read(media) if kind != "image" else b""
        if kind == "image":
            return Shown(media=media, kind="image", caption=caption)
        if kind == "histogram":
            values = counted(media.header)
            return Shown(media=media, kind="histogram", caption=caption, text=values, bars=bars(content))
        if kind == "text":
            return Shown(media=media, kind="text", caption=caption, text=text(content))
        if kind == "table":
            return Shown(media=media, kind="table", caption=caption, table=table(content))
    except (OSError, ValueError) as error:
        return Shown(media=media, kind="nothing", caption=caption, text=f"it cannot be shown: {error}")
    return Shown(media=media, kind="nothing", caption=caption, text="this release does not know what it is")
