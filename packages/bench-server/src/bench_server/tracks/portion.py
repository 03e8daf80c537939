"""Some records of a track become rows, within the caller's transaction."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from bench_track import records

from bench_server.errors import Refused
from bench_server.tracks import media_files, notes
from bench_server.tracks.blocks import Logged, add_points
from bench_server.tracks.models import Media, Order, Series, Track
from bench_server.tracks.points import BATCH, POINT

MAX_NAME = 256
"""Characters of a series' name."""

MAX_SERIES = 10_000
"""Of a track. The points of further ones are left out."""

MAX_SHAPE_NAMES = 200_000
"""Of all shapes of a track."""

MAX_JSON_BYTES = 1 << 20
"""Of a header, an order or a note."""


@dataclass
class _Rows:
    """Points of one shape: each record's place in the track, and what it has."""

    series: list[int | None]
    places: list[int] = field(default_factory=list)
    points: list[records.Points] = field(default_factory=list)


class Portion:
    """What is taken in one transaction.

    Args:
        track: Its row, locked.
        has_room: Whether points and media are kept; otherwise they are left out.
    """

    def __init__(self, track: Track, *, has_room: bool) -> None:
        self._track, self.has_room = track, has_room
        self._shapes: dict[int, _Rows] = {
            int(number): _Rows(series) for number, series in track.shapes.items()
        }
        self._groups: list[_Rows] = list(self._shapes.values())
        self._media: list[Media] = []

    def take(self, found: Iterable[records.Record], size: int) -> None:
        """Write records, and how far the track has come.

        Args:
            found: The records that follow those that the track has.
            size: Their bytes.

        Raises:
            Refused: TRACK_INVALID.
        """
        take = {
            records.Points: self._take_points,
            records.Shape: self._take_shape,
            records.Media: self._take_media,
            records.Order: self._take_order,
            records.Note: self._take_note,
        }
        take_unknown = self._take_unknown
        for place, record in enumerate(found):
            take.get(type(record), take_unknown)(place, record)  # type: ignore[operator]
        if self.has_room:
            add_points(_by_series(self._groups))
            Media.objects.bulk_create(self._media)
        self._track.received += size
        if not self.has_room:
            self._track.skipped += size
        self._track.save()

    def _take_points(self, place: int, record: records.Points) -> None:
        rows = self._shapes.get(record.shape)
        if rows is None:
            raise self._refused(f"shape {record.shape} was not said")
        if len(record.values) != len(rows.series):
            raise self._refused(
                f"shape {record.shape} has {len(rows.series)} series, and a point {len(record.values)} values"
            )
        rows.places.append(place)
        rows.points.append(record)

    def _take_shape(self, place: int, record: records.Shape) -> None:
        if sum(map(len, self._track.shapes.values())) + len(record.names) > MAX_SHAPE_NAMES:
            raise self._refused(f"its shapes have more than {MAX_SHAPE_NAMES:,} names")
        for name in record.names:
            self._check_name(name)
        ids = self._series(record.names)
        self._track.shapes[str(record.shape)] = ids
        self._shapes[record.shape] = _Rows(ids)
        self._groups.append(self._shapes[record.shape])

    def _series(self, names: tuple[str, ...]) -> list[int | None]:
        """The ids of series, made if absent; None for one too many."""
        known = dict(Series.objects.filter(track=self._track).values_list("name", "pk"))
        new = list(dict.fromkeys(name for name in names if name not in known))
        made = [Series(track=self._track, name=name) for name in new[: MAX_SERIES - len(known)]]
        known |= {series.name: series.pk for series in Series.objects.bulk_create(made)}
        return [known.get(name) for name in names]

    def _take_media(self, place: int, record: records.Media) -> None:
        if not self.has_room:
            return
        header = self._checked(record.header)
        name = header.get("series")
        if not isinstance(name, str) or not isinstance(header.get("type"), str):
            raise self._refused("the header of a media record has no series, or no type")
        self._check_name(name)
        offset = media_files.append(self._track, record.content)
        self._media.append(
            Media(
                track=self._track,
                name=name,
                step=record.step,
                time=record.time,
                header=header,
                offset=offset,
                size=len(record.content),
            )
        )

    def _take_order(self, place: int, record: records.Order) -> None:
        fields = {"order": self._checked(record.fields)}
        Order.objects.update_or_create(track=self._track, number=record.order, defaults=fields)

    def _take_note(self, place: int, record: records.Note) -> None:
        notes.take(self._track, self._checked(record.fields))

    def _take_unknown(self, place: int, record: records.Unknown) -> None:
        """A later version's: left out."""

    def _check_name(self, name: str) -> None:
        if not 0 < len(name) <= MAX_NAME or not name.isprintable():
            raise self._refused(f"{name[:80]!r} is no name of a series: 1 to {MAX_NAME} printable characters")

    def _checked(self, fields: dict[str, Any]) -> dict[str, Any]:
        """An object that every database takes: what is no text in its texts is replaced."""
        try:
            text = json.dumps(_clean(fields), allow_nan=False)
        except (ValueError, RecursionError):
            raise self._refused("it has JSON that is none") from None
        if len(text) > MAX_JSON_BYTES:
            raise self._refused(f"it has JSON of {len(text):,} bytes")
        cleaned: dict[str, Any] = json.loads(text)
        return cleaned

    def _refused(self, message: str) -> Refused:
        return Refused(
            "TRACK_INVALID", f"{self._track.writer}, behind byte {self._track.received:,}: {message}"
        )


def _clean(value: Any) -> Any:
    """A value of JSON without zero bytes and half characters, which PostgreSQL does not take."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_clean(key): _clean(found) for key, found in value.items()}
    return [_clean(found) for found in value] if isinstance(value, list) else value


def _by_series(groups: Iterable[_Rows]) -> dict[int, Logged]:
    """The points of each series, in the order of the track. A series may be in several shapes."""
    found: dict[int, list[tuple[np.ndarray[Any, Any], Logged]]] = {}
    for rows in groups:
        if not rows.points:
            continue
        _, steps, times, orders, epochs, batches, values = zip(*rows.points, strict=True)
        count, places = len(rows.points), np.array(rows.places)
        batch = np.empty(count, BATCH)
        batch["order"], batch["epoch"], batch["batch"] = orders, epochs, batches
        table = np.array(values, np.float64).reshape(count, -1)
        for column, series in enumerate(rows.series):
            if series is None:
                continue
            points = np.empty(count, POINT)
            points["step"], points["time"], points["value"] = steps, times, table[:, column]
            found.setdefault(series, []).append((places, Logged(points, batch)))
    return {series: _in_order(parts) for series, parts in found.items()}


def _in_order(parts: list[tuple[np.ndarray[Any, Any], Logged]]) -> Logged:
    if len(parts) == 1:
        return parts[0][1]
    order = np.argsort(np.concatenate([places for places, _ in parts]), kind="stable")
    points = np.concatenate([logged.points for _, logged in parts])
    batches = np.concatenate([logged.batches for _, logged in parts])
    return Logged(points[order], batches[order])
