"""Numbers and times as people read them."""

import datetime


def size_text(count: int) -> str:
    """Bytes in the largest decimal unit, as disks are sold: `1.2 GB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 999.5 or unit == "TB":
            return f"{amount:.0f} {unit}" if amount >= 100 or unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("unreachable")


def limit_text(count: int | None) -> str:
    """Bytes that something may take at most."""
    return size_text(count) if count else "no limit"


def count_text(count: int, noun: str) -> str:
    """A number of things: `1 blob`, `1,200 blobs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def time_text(iso: str) -> str:
    """A time of a document, in the local zone, to the minute."""
    return f"{datetime.datetime.fromisoformat(iso).astimezone():%Y-%m-%d %H:%M}"


def duration_text(seconds: float) -> str:
    """A duration in its two largest units: `3 d 4 h`."""
    rest = int(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        amount, rest = divmod(rest, length)
        if amount or (unit == "s" and not parts):
            parts.append(f"{amount} {unit}")
    return " ".join(parts[:2])
