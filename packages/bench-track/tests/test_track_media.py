"""Histograms, images, texts and tables: made, logged, and read by others."""

import io
import json
import math
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bench_track
import numpy as np
import PIL.Image
import pytest
import torch
from bench_track import Histogram, Image, Run, Table, Text, ValueLogError
from spool_reading import media, points


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setenv("BENCH_TRACK", str(tmp_path / "track"))
    with bench_track.init() as made:
        yield made


def decoded(image: Image) -> Any:
    return np.asarray(PIL.Image.open(io.BytesIO(image.content())))


def test_what_is_logged_together_has_one_step(run: Run) -> None:
    run.log({"loss": 1.0, "note": Text("größe"), "table": Table(["a", "b"], [[1, math.nan]])}, step=5)
    run.log({"images": [Image(np.zeros((2, 2))), Image(np.ones((2, 2)), "caption")], "loss": 0.5})
    assert points(run.folder) == [(5, {"loss": 1.0}), (6, {"loss": 0.5})]
    found = media(run.folder)
    assert [(record.step, record.header) for record in found] == [
        (5, {"series": "note", "type": "text"}),
        (5, {"series": "table", "type": "table", "rows": 1}),
        (6, {"series": "images", "type": "image", "format": "png", "index": 0}),
        (6, {"series": "images", "type": "image", "format": "png", "caption": "caption", "index": 1}),
    ]
    assert found[0].content.decode() == "größe"
    assert json.loads(found[1].content) == {"columns": ["a", "b"], "rows": [[1, "NaN"]]}


@pytest.mark.parametrize("make", [list, np.array, torch.tensor])
def test_a_histogram_counts_what_is_finite(make: Any) -> None:
    histogram = Histogram(make([0.0, 1.0, 1.5, 4.0, math.nan, math.inf, -math.inf]), bins=4)
    expected = {"bins": 4, "count": 7, "min": 0.0, "max": 4.0, "mean": 1.625, "nan": 1, "inf": 2}
    assert histogram.header() == {"type": "histogram", **expected}
    assert struct.unpack("<9d", histogram.content()) == (0, 1, 2, 3, 4, 1, 2, 0, 1)


@pytest.mark.parametrize("values", [[], [math.nan], torch.zeros(0)])
def test_a_histogram_of_nothing(values: Any) -> None:
    header = Histogram(values, bins=2).header()
    assert (header["min"], header["max"], header["mean"]) == (None, None, None)


def test_a_histogram_of_counts() -> None:
    header = Histogram.of_counts([0, 1, 2], [3, 1]).header()
    assert (header["count"], header["mean"]) == (4, 0.75)
    with pytest.raises(ValueLogError):
        Histogram.of_counts([0, 1], [3, 1])


def test_a_histogram_without_numpy_is_the_same() -> None:
    text = """
import bench_track, math, sys
made = bench_track.Histogram([0, 1, 2, 3, 3, math.nan, math.inf], bins=3)
assert "numpy" not in sys.modules
print(made.header(), made.content().hex())
"""
    done = subprocess.run([sys.executable, "-c", text], check=True, stdout=subprocess.PIPE, text=True)
    same = Histogram([0, 1, 2, 3, 3, math.nan, math.inf], bins=3)
    assert done.stdout.strip() == f"{same.header()} {same.content().hex()}"


RGB = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10


@pytest.mark.parametrize(
    "data",
    [
        RGB,
        torch.from_numpy(RGB).permute(2, 0, 1),
        RGB.astype(np.float32) / 255,
        torch.from_numpy(RGB).permute(2, 0, 1).half() / 255,
        PIL.Image.fromarray(RGB),
    ],
    ids=["array", "tensor", "floats", "half", "pil"],
)
def test_an_image_is_what_it_was(data: Any) -> None:
    assert np.array_equal(decoded(Image(data)), RGB)


def test_images_of_other_kinds() -> None:
    grey = np.array([[0, 255], [128, 1]], np.uint8)
    assert np.array_equal(decoded(Image(grey)), grey)
    assert np.array_equal(decoded(Image(torch.from_numpy(grey)[None])), grey)
    assert np.array_equal(decoded(Image(grey > 100)), (grey > 100) * 255)
    alpha = np.dstack([RGB, RGB[:, :, :1]])
    assert np.array_equal(decoded(Image(alpha)), alpha)
    assert np.array_equal(decoded(Image(torch.from_numpy(RGB.copy()), layout="HWC")), RGB)
    odd = np.array([[-1.0, 2.0, math.nan]])
    assert decoded(Image(odd)).tolist() == [[0, 255, 0]]


@pytest.mark.parametrize("name", ["JPEG", "PNG", "GIF", "WEBP"])
def test_files_stay_as_they_are(tmp_path: Path, name: str) -> None:
    path = tmp_path / "image"
    PIL.Image.fromarray(RGB).save(path, name)
    for data in (path, str(path), path.read_bytes()):
        image = Image(data)
        assert (image.header()["format"], image.content()) == (name.lower(), path.read_bytes())


@pytest.mark.parametrize(
    "data",
    [np.zeros((2, 2, 5)), np.zeros(3), np.zeros((0, 2)), np.zeros((2, 2), int), b"text", "/none", 3],
)
def test_what_is_no_image(data: Any) -> None:
    with pytest.raises(ValueLogError):
        Image(data)


def test_what_is_no_table_or_too_large(run: Run) -> None:
    with pytest.raises(ValueLogError, match="row 1"):
        Table(["a"], [[1], [1, 2]])
    with pytest.raises(ValueLogError, match="bytes"):
        run.log({"a": 1.0, "much": Text("x" * (16 << 20))})
    with pytest.raises(ValueLogError, match="much"):
        run.log({"a": 1.0, "much": [Image(RGB), 1]})
    assert points(run.folder) == []
