"""Tracks come in: every point once, in any portions, and nothing that a track says is trusted."""

import random
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from bench_server.errors import Refused
from bench_server.runs import services
from bench_server.runs.models import Attempt, Run
from bench_server.tracks import batches, charts, ingest, media_files, notes
from bench_server.tracks.models import Block, Checkpoint, Media, Series, Track
from bench_track.records import (
    MAGIC,
    pack_media,
    pack_note,
    pack_order,
    pack_points,
    pack_record,
    pack_shape,
    read_records,
)
from django.conf import settings
from django.db import close_old_connections
from run_tools import new_run
from track_tools import WRITER, points_file

pytestmark = pytest.mark.usefixtures("server_address")


def attempt() -> Attempt:
    return new_run().last_attempt


def values_of(attempt: Attempt, name: str = "loss") -> list[float]:
    found = []
    for series in charts.lines_of(attempt.run, [name]):
        found += [points["value"] for points in charts.points_in(series)]
    return list(np.concatenate([*found, np.empty(0)]))


def refusal_of(data: bytes, start: int = 0, writer: str = WRITER) -> Refused:
    with pytest.raises(Refused) as caught:
        ingest.append(attempt(), writer, start, [data])
    return caught.value


def test_every_point_is_there_once_whatever_is_repeated() -> None:
    values = np.random.default_rng(3).normal(size=9000).tolist()
    data, target, chance = points_file(values), attempt(), random.Random(3)
    received = 0
    while received < len(data):
        start = chance.randint(0, received)
        size = chance.choice([1, 50, 5_000, 100_000])
        received = ingest.append(target, WRITER, start, [data[start : received + size]]).received
        assert received <= len(data)
        if chance.random() < 0.3:
            size += 1
    assert values_of(target) == values
    assert ingest.append(target, WRITER, 0, [data]).received == len(data)
    assert values_of(target) == values


def test_what_is_cut_off_is_sent_again() -> None:
    data, target = points_file([1.0, 2.0]), attempt()
    whole = len(points_file([1.0]))
    assert ingest.append(target, WRITER, 0, [data[:-1]]).received == whole
    assert values_of(target) == [1.0]
    with pytest.raises(Refused, match="begins at") as caught:
        ingest.append(target, WRITER, len(data), [b"x"])
    assert (caught.value.reason, caught.value.metadata) == ("OFFSET_MISMATCH", {"received_bytes": str(whole)})
    assert ingest.append(target, WRITER, whole, [data[whole:]]).received == len(data)
    assert values_of(target) == [1.0, 2.0]


def test_many_portions_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "PORTION_BYTES", 3000)
    values = [float(number) for number in range(5000)]
    data, target = points_file(values), attempt()
    pieces = [data[start : start + 1000] for start in range(0, len(data), 1000)]
    assert ingest.append(target, WRITER, 0, pieces).received == len(data)
    assert values_of(target) == values


def test_two_that_send_the_same_at_once_leave_it_there_once() -> None:
    values = [float(number) for number in range(3000)]
    data, target = points_file(values), attempt()
    ingest.append(target, WRITER, 0, [data[:100]])

    def send(size: int) -> None:
        try:
            ingest.append(target, WRITER, 0, [data[:size], data[size:]])
        finally:
            close_old_connections()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(send, [1000, 20_000, 40_000, 60_000]))
    assert values_of(target) == values


def test_a_series_may_be_in_several_shapes_and_a_shape_may_be_said_again() -> None:
    data = MAGIC + pack_shape(1, ["a", "b"]) + pack_shape(2, ["b"])
    data += pack_points(1, step=0, time=0, values=[1, 2]) + pack_points(2, step=1, time=0, values=[3])
    data += pack_points(1, step=2, time=0, values=[4, 5])
    data += pack_shape(2, ["c"]) + pack_points(2, step=3, time=0, values=[6])
    target = attempt()
    ingest.append(target, WRITER, 0, [data])
    more = pack_points(2, step=4, time=0, values=[7]) + pack_points(1, step=5, time=0, values=[8, 9])
    ingest.append(target, WRITER, len(data), [more])
    assert [values_of(target, name) for name in "abc"] == [[1, 4, 8], [2, 3, 5, 9], [6, 7]]


def test_values_that_are_no_numbers_and_times_are_kept() -> None:
    data = MAGIC + pack_shape(1, ["x"]) + pack_points(1, step=7, time=-5, values=[float("nan")])
    data += pack_points(1, step=(1 << 53) - 1, time=1 << 62, values=[float("-inf")])
    target = attempt()
    ingest.append(target, WRITER, 0, [data])
    (series,) = charts.lines_of(target.run)
    (points,) = charts.points_in(series)
    assert points["time"].tolist() == [-5, 1 << 62]
    assert np.isnan(points["value"][0])
    (listed,) = charts.series_of(target.run)
    assert (listed.last, listed.last_step) == (float("-inf"), (1 << 53) - 1)


def test_media_are_kept_beside_the_tables() -> None:
    header = {"series": "images/cat", "type": "image", "format": "png"}
    data = MAGIC + b"".join(
        pack_media(header, bytes([number]) * 1000, step=number, time=number) for number in range(5)
    )
    target = attempt()
    ingest.append(target, WRITER, 0, [data[:2500]])
    (track,) = target.tracks.all()
    with media_files.path_of(track).open("ab") as file:
        file.write(b"of a transaction that did not happen")
    ingest.append(target, WRITER, 0, [data])
    found = Media.objects.filter(track=track).order_by("step")
    assert [media_files.read(media) for media in found] == [bytes([number]) * 1000 for number in range(5)]
    assert [(media.name, media.header) for media in found] == [("images/cat", header)] * 5


def test_the_batch_of_a_step_is_known() -> None:
    order = {"dataset": "train", "seed": 7}
    data, target = points_file([0.0] * 600, order=1) + pack_order(1, order), attempt()
    ingest.append(target, WRITER, 0, [data])
    for step in (0, 255, 256, 599):
        assert batches.batch_at(target, 0, step) == batches.Batch(
            order=order, epoch=step // 10, batch=step % 10
        )
    for rank, step in ((0, 600), (1, 0)):
        with pytest.raises(Refused, match="nothing says"):
            batches.batch_at(target, rank, step)


def test_notes_say_config_and_checkpoints() -> None:
    notes: list[dict[str, Any]] = [
        {"type": "config", "values": {"lr": 0.1, "model": {"name": "net"}}},
        {"type": "config", "values": {"lr": 0.2, "seed": 1}},
        {"type": "checkpoint", "name": "a", "path": "step-1", "step": 1, "metric": 0.5, "bytes": 10},
        {"type": "checkpoint", "name": "b", "path": "step-2", "step": 2, "bytes": 7, "best": True},
        {"type": "checkpoint_removed", "name": "a"},
        {"type": "dropped", "points": 4},
        {"type": "of a later version"},
        {"type": "checkpoint", "name": 5, "path": "x", "step": -1},
        {"type": "summary", "values": {"accuracy": 0.9}},
        {"type": "about", "name": "best of all", "tags": ["a", 5, "b"], "group": "g"},
        {"type": "about", "name": "/no name"},
        {"type": ["config"]},
    ]
    target = attempt()
    ingest.append(target, WRITER, 0, [MAGIC + b"".join(map(pack_note, notes))])
    run = services.find_run(target.run.project, target.run_id)
    assert run.config == {"lr": 0.2, "seed": 1, "model": {"name": "net"}}
    assert run.summary == {"accuracy": 0.9}
    assert (run.name, run.group, sorted(tag.tag for tag in run.tags.all())) == (
        "best of all",
        "g",
        ["a", "b"],
    )
    (checkpoint,) = Checkpoint.objects.filter(attempt=target)
    assert (checkpoint.path, checkpoint.step, checkpoint.metric, checkpoint.is_best) == (
        "step-2",
        2,
        None,
        True,
    )
    assert target.tracks.get().dropped == 4


def take_notes(target: Attempt, *said: dict[str, Any]) -> None:
    ingest.append(target, WRITER, 0, [MAGIC + b"".join(map(pack_note, said))])


@pytest.mark.parametrize(
    "metric", [10**400, -(10**400), True, "0.5", [0.5]], ids=lambda value: str(value)[:9]
)
def test_a_metric_that_is_no_number_is_none(metric: Any) -> None:
    target = attempt()
    take_notes(target, {"type": "checkpoint", "name": "a", "path": "a", "step": 1, "metric": metric})
    assert target.checkpoints.get().metric is None


def test_a_checkpoint_that_is_known_changes_also_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "MAX_CHECKPOINTS", 2)
    target = attempt()
    said = [("a", 1, 0.5), ("b", 2, None), ("c", 3, None), ("a", 1, 0.75)]
    take_notes(
        target,
        *(
            {"type": "checkpoint", "name": name, "path": name, "step": step, "metric": metric}
            for name, step, metric in said
        ),
    )
    found = target.checkpoints.order_by("name").values_list("name", "metric")
    assert list(found) == [("a", 0.75), ("b", None)]


def test_what_was_dropped_is_counted_as_far_as_a_column_goes() -> None:
    target = attempt()
    take_notes(target, *[{"type": "dropped", "points": (1 << 53) - 1}] * 1500)
    assert target.tracks.get().dropped == (1 << 63) - 1


def test_what_is_no_text_in_a_text_is_replaced() -> None:
    note = b'{"type": "config", "values": {"a\\u0000": ["b\\ud800c", 1, null]}}'
    target = attempt()
    ingest.append(target, WRITER, 0, [MAGIC + with_crc(5, note)])
    run = services.find_run(target.run.project, target.run_id)
    assert run.config == {"a\ufffd": ["b?c", 1, None]}


def test_a_later_version_may_have_other_records() -> None:
    data, target = MAGIC + pack_record(99, b"?") + points_file([1.0])[8:], attempt()
    assert ingest.append(target, WRITER, 0, [data]).received == len(data)
    assert values_of(target) == [1.0]


def with_crc(kind: int, payload: bytes) -> bytes:
    return struct.pack("<IIB", len(payload), crc32(bytes([kind]) + payload), kind) + payload


SHAPE = pack_shape(1, ["x"])
HOSTILE = {
    "no magic": b"BENCHTR2" + SHAPE,
    "wrong checksum": MAGIC + SHAPE[:-1] + b"y",
    "longer than one may be": MAGIC + struct.pack("<IIB", (16 << 20) + 1, 0, 2),
    "a shape that was not said": MAGIC + pack_points(1, step=0, time=0, values=[1]),
    "more values than series": MAGIC + SHAPE + pack_points(1, step=0, time=0, values=[1, 2]),
    "a negative step": MAGIC + SHAPE + with_crc(2, struct.pack("<IqqIIId", 1, -1, 0, 0, 0, 0, 1.0)),
    "a step too large": MAGIC + SHAPE + with_crc(2, struct.pack("<IqqIIId", 1, 1 << 53, 0, 0, 0, 0, 1.0)),
    "a shape cut short": MAGIC + with_crc(1, struct.pack("<IH", 1, 5)),
    "an empty name": MAGIC + pack_shape(1, [""]),
    "a name too long": MAGIC + pack_shape(1, ["x" * 257]),
    "a name that is not shown": MAGIC + pack_shape(1, ["a\0b"]),
    "media of no series": MAGIC + pack_media({"type": "text"}, b"", step=0, time=0),
    "media of a header too large": MAGIC
    + pack_media({"series": "a", "type": "text", "x": "y" * (1 << 20)}, b"", step=0, time=0),
    "JSON that is none": MAGIC + with_crc(5, b'{"type": NaN}'),
    "JSON without end": MAGIC + with_crc(5, b"[" * 100_000),
    "JSON too deep": MAGIC + with_crc(5, b'{"a":' * 100_000 + b"0" + b"}" * 100_000),
    "a list in place of an object": MAGIC + with_crc(5, b"[]"),
}  # fmt: skip


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_track_is_refused(data: bytes) -> None:
    assert refusal_of(data).reason == "TRACK_INVALID"


@pytest.mark.parametrize(
    "writer", ["", "x", "../../etc", "0-17-5E0C2A91", "0-17-5e0c2a9", f"{WRITER}/", "\u0661-1-5e0c2a91"]
)
def test_writers_have_names_of_their_kind(writer: str) -> None:
    assert refusal_of(b"x", writer=writer).metadata["field"] == "writer"


def test_counts_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench_server.tracks import portion

    monkeypatch.setattr(portion, "MAX_SERIES", 3)
    monkeypatch.setattr(ingest, "MAX_WRITERS", 2)
    target = attempt()
    names = ["a", "b", "c", "d", "e"]
    data = MAGIC + pack_shape(1, names) + pack_points(1, step=0, time=0, values=[1, 2, 3, 4, 5])
    ingest.append(target, WRITER, 0, [data])
    assert [listed.name for listed in charts.series_of(target.run)] == ["a", "b", "c"]
    ingest.append(target, "1-1-00000000", 0, [data])
    with pytest.raises(Refused, match="of them already"):
        ingest.append(target, "2-1-00000000", 0, [data])
    monkeypatch.setattr(portion, "MAX_SHAPE_NAMES", 6)
    with pytest.raises(Refused, match="more than 6 names"):
        ingest.append(target, WRITER, len(data), [pack_shape(2, ["a", "b"])])


def test_behind_the_quota_points_are_left_out_and_counted() -> None:
    target = attempt()
    first, rest = points_file([1.0] * 10), points_file([2.0] * 10, first_step=10)[len(points_file([])) :]
    assert not ingest.append(target, WRITER, 0, [first], quota=100).truncated
    appended = ingest.append(target, WRITER, len(first), [rest], quota=100)
    assert appended == ingest.Appended(len(first) + len(rest), True)
    assert values_of(target) == [1.0] * 10
    assert target.tracks.get().skipped == len(rest)


def test_nothing_is_left_of_a_run_that_is_deleted() -> None:
    run = new_run()
    media = pack_media({"series": "i", "type": "text"}, b"x", step=0, time=0)
    ingest.append(run.last_attempt, WRITER, 0, [points_file([1.0] * 5000) + media])
    folder = settings.FOLDER.tracks / str(run.pk)
    assert folder.exists()
    track = Track.objects.get(attempt__run=run)
    services.stop(run, run.creator)  # type: ignore[arg-type]
    services.delete_run(services.find_run(run.project, run.pk))
    assert not Run.objects.filter(pk=run.pk).exists()
    assert not Series.objects.filter(track=track.pk).exists()
    assert not Block.objects.filter(series__track=track.pk).exists()
    assert not folder.exists()


def test_the_tools_of_these_tests_make_records() -> None:
    data = points_file([1.0, 2.0])
    found, size = read_records(data)
    assert (len(found), size) == (3, len(data))


@pytest.mark.parametrize("field", ["config", "summary"])
def test_what_a_run_says_of_itself_has_a_limit(field: str) -> None:
    half = "x" * (notes.MAX_VALUES_BYTES * 2 // 3)
    said = [{"a": half}, {"b": half}, {"c": 1}]
    target = attempt()
    data = MAGIC + b"".join(pack_note({"type": field, "values": values}) for values in said)
    ingest.append(target, WRITER, 0, [data])
    assert getattr(Run.objects.get(pk=target.run_id), field) == {"a": half, "c": 1}
