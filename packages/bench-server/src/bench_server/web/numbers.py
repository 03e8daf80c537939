"""Numbers in addresses."""

from django.http import HttpRequest

from bench_server.errors import invalid

DIGITS = 18
"""More than that fit no column of a database."""


def number_in(request: HttpRequest, name: str, default: int = 0) -> int:
    """A number, not negative, that an address's query has.

    Args:
        request: Its address.
        name: Of the number.
        default: Where it is not there, or empty.

    Raises:
        Refused: FIELD_INVALID.
    """
    text = request.GET.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > DIGITS:
        raise invalid(name, f"{text[:40]!r} is no number")
    return int(text)
