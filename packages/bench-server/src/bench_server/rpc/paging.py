"""Pages of lists: after the last item of the previous page, whatever came or went meanwhile."""

import base64
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet

from bench_server.errors import Refused, invalid

DEFAULT_SIZE, MAX_SIZE = 50, 1000

Row = TypeVar("Row", bound=Model)
Item = TypeVar("Item")


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
    ordered = rows.order_by(f"-{key}" if descending else key)
    if request.page_token:
        try:
            ordered = ordered.filter(**{f"{key}__{'lt' if descending else 'gt'}": _after(request)})
        except (ValueError, ValidationError):
            raise _foreign_token() from None
    return _page(lambda count: list(ordered[:count]), request, key)


def page_after(find: Callable[[str, int], Sequence[Row]], request: Any, *, key: str) -> tuple[list[Row], str]:
    """One page and the token of the next, empty on the last.

    Args:
        find: Given the last value of `key` on the previous page, empty before the first page, and how many
            rows at most: those that come after.
        request: Has `page_size` and `page_token`.
        key: The field that orders them, unique among the rows; `__` reaches into related ones.

    Raises:
        Refused: FIELD_INVALID.
    """
    after = _after(request) if request.page_token else ""
    return _page(lambda count: find(after, count), request, key)


def _page(find: Callable[[int], Sequence[Row]], request: Any, key: str) -> tuple[list[Row], str]:
    size = _size(request)
    found = find(size + 1)
    return list(found[:size]), _encode(_value(found[size - 1], key)) if len(found) > size else ""


def page_of_list(items: list[Item], request: Any, *, key: Callable[[Item], str]) -> tuple[list[Item], str]:
    """One page of what is in memory, and the token of the next, empty on the last.

    Args:
        items: All items, sorted by `key`.
        request: Has `page_size` and `page_token`.
        key: Unique among the items.

    Raises:
        Refused: FIELD_INVALID.
    """
    size = _size(request)
    start = bisect_right(items, _after(request), key=key) if request.page_token else 0
    end = start + size
    return items[start:end], _encode(key(items[end - 1])) if end < len(items) else ""


def _size(request: Any) -> int:
    if request.page_size < 0:
        raise invalid("page_size", f"{request.page_size} is negative")
    return min(request.page_size or DEFAULT_SIZE, MAX_SIZE)


def _after(request: Any) -> str:
    """The last item of the previous page."""
    try:
        return base64.b64decode(request.page_token.encode(), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise _foreign_token() from None


def _foreign_token() -> Refused:
    return invalid("page_token", "it is not one of this list")


def _value(row: Any, key: str) -> str:
    for name in key.split("__"):
        row = getattr(row, name)
    return str(row)


def _encode(value: str) -> str:
    return base64.urlsafe_b64encode(value.encode()).decode()
