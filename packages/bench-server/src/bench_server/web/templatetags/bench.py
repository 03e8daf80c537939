"""How values look in pages."""

import datetime
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from bench_server.errors import Refused
from bench_server.web import assets

register = template.Library()

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
