"""Checks of what a `bench.toml` says."""

import math
import re
from collections.abc import Mapping
from typing import Any

from bench_core.errors import ProjectFileError

UNITS = {
    **{"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12},
    **{"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40},
}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_text(name: str, value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ProjectFileError(f"{name} is {value!r}, and must be a text that is not empty")
    return value


def check_texts(name: str, value: Any) -> tuple[str, ...]:
    """A list of texts that are not empty."""
    if not isinstance(value, (list, tuple)):
        raise ProjectFileError(f"{name} is {value!r}, and must be a list of texts")
    return tuple(check_text(f"{name}[{place}]", item) for place, item in enumerate(value))


def check_count(name: str, value: Any) -> int:
    """A whole number from 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ProjectFileError(f"{name} is {value!r}, and must be a whole number, 0 or more")
    return value


def check_positive(name: str, value: Any) -> float:
    """A number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ProjectFileError(f"{name} is {value!r}, and must be a number")
    if not math.isfinite(value) or value <= 0:
        raise ProjectFileError(f"{name} is {value!r}, and must be more than 0")
    return float(value)


def check_bytes(name: str, value: Any) -> int:
    """A size such as "16GB" or "512 MiB", in bytes."""
    found = SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    unit = UNITS.get(found[2].upper()) if found else None
    size = int(float(found[1]) * unit) if found and unit else 0
    if size <= 0:
        raise ProjectFileError(
            f"{name} is {value!r}, which is no size", hint='Such as "16GB", "16GiB" or "512MB".'
        )
    return size


def check_environment(name: str, value: Any) -> dict[str, str]:
    """A table of variables; numbers become texts."""
    if not isinstance(value, Mapping):
        raise ProjectFileError(f"{name} is {value!r}, and must be a table")
    return {_variable(name, key): _variable_value(f"{name}.{key}", item) for key, item in value.items()}


def _variable(name: str, key: Any) -> str:
    if not isinstance(key, str) or not VARIABLE.fullmatch(key):
        raise ProjectFileError(f"{name} has {key!r}, which is no name of a variable")
    return key


def _variable_value(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or "\0" in str(value):
        raise ProjectFileError(f"{name} is {value!r}, and must be a text or a number")
    return str(value)
