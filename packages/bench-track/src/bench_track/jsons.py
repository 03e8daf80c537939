"""Values as JSON has them, for what a script says of its run."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from bench_track.errors import ValueLogError
from bench_track.records import MAX_STEP

MAX_JSON_BYTES = 1 << 20
"""Of a note or a header; the server takes no more."""


def to_json(value: Any) -> Any:
    """A value as JSON has it; what it has not is a text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return int(value) if abs(value) <= MAX_STEP else str(int(value))
    if isinstance(value, float):
        return finite_or_text(float(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {to_json(str(key)): to_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(each) for each in value]
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # of numpy or torch
        return to_json(value.item())
    return to_json(str(value))


def finite_or_text(value: float) -> float | str:
    """A float as JSON has it: those that it has not, as JavaScript calls them."""
    if math.isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def checked(what: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a note or a header, as JSON has them.

    Args:
        what: Their name, for the error.
        fields: Any.

    Raises:
        ValueLogError: They are more than one record may have, or contain themselves.
    """
    try:
        found: dict[str, Any] = to_json(dict(fields))
    except RecursionError:
        raise ValueLogError(f"{what} contains itself") from None
    size = len(json.dumps(found))
    if size > MAX_JSON_BYTES:
        raise ValueLogError(
            f"{what} has {size:,} bytes as JSON, and may have {MAX_JSON_BYTES:,}",
            hint="Log it as a Table or Text.",
        )
    return found
