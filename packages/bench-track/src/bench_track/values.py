"""What can be logged as a number, and under which names and steps."""

import sys
from operator import index
from typing import Any

from bench_track.errors import ValueLogError
from bench_track.records import MAX_STEP

PLAIN = frozenset({float, int})
"""What needs no second look."""

NAME_CHARACTERS = 256


def check_names(names: tuple[Any, ...]) -> None:
    """Refuse what cannot be the names of series.

    Raises:
        ValueLogError: One is none.
    """
    for name in names:
        if not isinstance(name, str):
            raise ValueLogError(
                f"a series cannot be named {name!r}", hint="Names are texts, such as 'train/loss'."
            )
        if not 0 < len(name) <= NAME_CHARACTERS or not name.isprintable():
            raise ValueLogError(
                f"a series cannot be named {name[:NAME_CHARACTERS]!r}",
                hint=f"Names have 1 to {NAME_CHARACTERS} characters, all printable.",
            )


def checked_step(step: Any) -> int:
    """A step as an int.

    Raises:
        ValueLogError: It is none.
    """
    try:
        found = index(step)
    except TypeError:
        raise ValueLogError(f"step is {step!r}", hint="Steps are whole numbers.") from None
    if not 0 <= found <= MAX_STEP:
        raise ValueLogError(f"step is {found}", hint="Steps are 0 or more, and less than 2^53.")
    return found


def number(name: str, value: Any) -> float:
    """A value as a float.

    Raises:
        ValueLogError: It is none.
    """
    if isinstance(value, str | bytes) or value is None:
        raise no_number(name, value)
    try:
        # torch warns of float() of a tensor that has a gradient, and not of item().
        return float(value.item() if hasattr(value, "item") else value)
    except Exception:  # a tensor of many values raises RuntimeError, an array TypeError, ...
        raise no_number(name, value) from None


def no_number(name: str, value: Any) -> ValueLogError:
    """What is raised for a value that is none."""
    shape = getattr(value, "shape", None)
    what = f"of shape {tuple(shape)}" if shape is not None else repr(value)[:80]
    return ValueLogError(
        f"{name} is {what}, a {type(value).__name__}, which is no number",
        hint="Log numbers and tensors of one value; or bench_track.Histogram, Image, Text or Table.",
    )


def is_on_gpu(value: Any) -> bool:
    """Whether a value is a tensor on a CUDA device: to ask for its number would wait for the device.

    Raises:
        ValueLogError: It is one of many values.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor) or not value.is_cuda:
        return False
    if value.numel() != 1 or value.is_complex():
        raise no_number("a value", value)
    return True
