"""What is in a spool, for the tests."""

from pathlib import Path
from typing import Any

from bench_track import records


def read(folder: Path) -> list[records.Record]:
    """All whole records of a spool's files, file after file; nothing may be behind them."""
    found: list[records.Record] = []
    for path in sorted(folder.glob("*.records")):
        data = path.read_bytes()
        of_file, consumed = records.read_records(data)
        assert consumed == len(data)
        found += of_file
    return found


def points(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """Step and values of each points record."""
    found, shapes = [], {}
    for record in read(folder):
        if isinstance(record, records.Shape):
            shapes[record.shape] = record.names
        if isinstance(record, records.Points):
            found.append((record.step, dict(zip(shapes[record.shape], record.values, strict=True))))
    return found


def notes(folder: Path, kind: str) -> list[dict[str, Any]]:
    """The notes of a kind, without their times."""
    found = [record.fields for record in read(folder) if isinstance(record, records.Note)]
    return [
        {key: value for key, value in fields.items() if key not in ("type", "time")}
        for fields in found
        if fields["type"] == kind
    ]


def media(folder: Path) -> list[records.Media]:
    """The media records."""
    return [record for record in read(folder) if isinstance(record, records.Media)]
