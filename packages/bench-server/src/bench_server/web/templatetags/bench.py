"""How values look in pages."""

import datetime
import shlex
from collections.abc import Sequence
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from bench_server.errors import Refused
from bench_server.runs.models import Attempt
from bench_server.runs.states import MEANING, State
from bench_server.web import assets

register = template.Library()

COLOURS = 8
"""Of lines in charts; charts.css has them."""

UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


@register.simple_tag
def asset(name: str) -> str:
    """The address of a style sheet, script or icon."""
    return assets.address(name)


@register.filter
def size(count: int) -> str:
    """Bytes in the unit that fits: 1.5 MB."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {UNITS[unit]}"


@register.filter
def number(count: int) -> str:
    """A number with its thousands apart: 12,500."""
    return f"{count:,}"


@register.filter
def when(time: datetime.datetime | None) -> str | SafeString:
    """A time to the minute, in UTC."""
    if time is None:
        return ""
    utc = time.astimezone(datetime.timezone.utc)
    return format_html(
        '<time datetime="{}">{} UTC</time>', f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{utc:%Y-%m-%d %H:%M}"
    )


@register.inclusion_tag("web/field.html", takes_context=True)
def field(
    context: dict[str, Any],
    name: str,
    label: str,
    *,
    type: str = "text",
    autocomplete: str = "",
    hint: str = "",
    attributes: str = "",
    least: str = "",
    required: bool = True,
    focus: bool = False,
) -> dict[str, Any]:
    """A field of a form: its label, its value as it was sent (but for passwords), and what was wrong with it.

    Args:
        context: Has `refused` and `values`, as `show` gives them.
        name: Of the field.
        label: What people call it.
        type: As HTML has it.
        autocomplete: As HTML has it.
        hint: Shown below it.
        attributes: More of HTML's, as they are written.
        least: The smallest value.
        required: Whether it must be filled in.
        focus: Whether typing begins here.
    """
    refused: Refused | None = context["refused"]
    is_wrong = refused is not None and refused.metadata.get("field") == name
    return {
        "name": name,
        "label": label,
        "type": type,
        "value": "" if type == "password" else context["values"].get(name, ""),
        "wrong": refused.message.removeprefix(f"{name}: ") if refused is not None and is_wrong else "",
        "autocomplete": autocomplete,
        "hint": hint,
        "attributes": mark_safe(attributes),
        "least": least,
        "required": required,
        "focus": focus,
    }


@register.filter
def duration(span: datetime.timedelta | None) -> str:
    """How long something took: 2 h 05 min."""
    if span is None:
        return ""
    seconds = max(0, int(span.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60:02d} min"
    return f"{minutes} min {seconds % 60:02d} s" if minutes else f"{seconds} s"


@register.filter
def took(attempt: Attempt) -> datetime.timedelta | None:
    """How long an attempt ran, or has been running; None if it has not begun."""
    if attempt.start_time is None:
        return None
    return (attempt.end_time or timezone.now()) - attempt.start_time


@register.filter
def cpus(millis: int) -> str:
    """Thousandths of a CPU as CPUs: 1.5."""
    return f"{millis / 1000:g}"


@register.filter
def unix(seconds: int) -> datetime.datetime | None:
    """A time from seconds since 1970; None for what no calendar has, as files may claim."""
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None


@register.filter
def colour(number: int) -> int:
    """Which of the colours of lines the run of that number has."""
    return number % COLOURS


@register.filter
def at(rows: Any, place: Any) -> Any:
    """One of some things, by its number or name."""
    return rows[place]


@register.filter
def after_colon(name: str) -> str:
    """The name of what was logged, in the word of a column of runs."""
    return name.partition(":")[2]


@register.inclusion_tag("runs/state.html")
def state(number: int) -> dict[str, str]:
    """The state of a run as a badge.

    Args:
        number: As it is stored.
    """
    found = State(number)
    return {"name": found.name.lower(), "meaning": MEANING[found]}


@register.filter
def words(command: Sequence[str]) -> str:
    """A command as a shell takes it."""
    return shlex.join(command)
