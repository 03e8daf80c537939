"""Pages of lists: after the last item of the previous page, whatever came or went meanwhile."""

import base64
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet

from bench_server.errors import invalid

DEFAULT_SIZE, MAX_SIZE = 50, 1000

Row = TypeVar("Row", bound=Model)


def page(rows: QuerySet[Row], request: Any, *, key: str, descending: bool = False) -> tuple[list[Row], str]:
    """One page and the token of the next, empty on the last.

    Args:
        rows: All rows.
        request: Has `page_size` and `page_token`.
        key: The field to order by, unique among the rows; `__` reaches into related ones.
        descending: The largest first.

    Raises:
        Refused: FIELD_INVALID.
    """
    if request.page_size < 0:
        raise invalid("page_size", f"{request.page_size} is negative")
    size = min(request.page_size or DEFAULT_SIZE, MAX_SIZE)
    ordered = rows.order_by(f"-{key}" if descending else key)
    if request.page_token:
        try:
            after = base64.urlsafe_b64decode(request.page_token.encode()).decode()
            ordered = ordered.filter(**{f"{key}__{'lt' if descending else 'gt'}": after})
        except (ValueError, ValidationError):
            raise invalid("page_token", "it is not one of this list") from None
    found = list(ordered[: size + 1])
    return found[:size], _encode(_value(found[size - 1], key)) if len(found) > size else ""


def _value(row: Any, key: str) -> str:
    for name in key.split("__"):
        row = getattr(row, name)
    return str(row)


def _encode(value: str) -> str:
    return base64.urlsafe_b64encode(value.encode()).decode()
