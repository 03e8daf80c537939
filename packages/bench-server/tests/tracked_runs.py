"""A run that has logged: series with the batches of a loader, media, checkpoints, a config."""

import io
import json
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from bench_data.batch_order import BatchOrder
from bench_track.records import MAGIC, pack_media, pack_note, pack_order, pack_points, pack_shape
from PIL import Image

if TYPE_CHECKING:
    from bench_server.datasets.models import Version
    from bench_server.runs.models import Run

WRITER = "0-17-5e0c2a91"
BATCH_SIZE = 8


def picture(number: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), number % 256, np.uint8)).save(content, "PNG")
    return content.getvalue()


def order_of(version: "Version") -> dict[str, Any]:
    """Of a loader that goes through a version in the order in which it is stored."""
    return BatchOrder(
        dataset=version.dataset.name,
        fingerprint=version.fingerprint,
        cuts=(),
        count=version.sample_count,
        shuffle=False,
        seed=0,
        window_chunks=1,
        batch_size=BATCH_SIZE,
        rank=0,
        ranks=1,
        uneven="pad",
        start=0,
    ).to_json()


def points(values: Sequence[float], name: str, *, batches: int = 0) -> list[bytes]:
    """Records of one series; with the batches of a loader that has so many in an epoch."""
    made = [pack_shape(1, [name])]
    for step, value in enumerate(values):
        place = {"order": 1, "epoch": step // batches, "batch": step % batches} if batches else {}
        made.append(pack_points(1, step=step, time=step * 1000, values=[value], **place))
    return made


def media(step: int) -> list[bytes]:
    edges = np.linspace(-1, 1, 5)
    histogram = struct.pack("<9d", *edges, 1, 2, 4, 3)
    table = json.dumps({"columns": ["class", "right"], "rows": [["cat <1>", 9], ["dog", None]]}).encode()
    contents: list[tuple[dict[str, Any], bytes]] = [
        (
            {"series": "samples", "type": "image", "format": "png", "caption": f"a <cat> of {step}"},
            picture(step),
        ),
        (
            {
                "series": "grad",
                "type": "histogram",
                "count": 10,
                "min": -1.0,
                "max": 1.0,
                "mean": 0.1,
                "nan": 2,
            },
            histogram,
        ),
        ({"series": "said", "type": "text"}, f"step {step} <b>".encode()),
        ({"series": "confusion", "type": "table"}, table),
    ]
    return [pack_media(header, content, step=step, time=step) for header, content in contents]


def checkpoint(step: int, metric: float, *, best: bool = False) -> bytes:
    name = f"step-{step:09d}"
    note = {"type": "checkpoint", "name": name, "path": f"/bench/output/checkpoints/{name}", "step": step}
    written = {"time": 1_764_547_200_000_000_000, "best": best, "bytes": 5_000_000, "files": 1}
    return pack_note({**note, **written, "metric": metric})


def track(run: "Run", *records: bytes, writer: str = WRITER) -> None:
    """Have the server take a whole file of records."""
    from bench_server.tracks import ingest

    ingest.append(run.attempts.get(number=1), writer, 0, [b"".join([MAGIC, *records])])


def order(version: "Version") -> bytes:
    return pack_order(1, order_of(version))


def config(**values: Any) -> bytes:
    return pack_note({"type": "config", "values": values})


def summary(**values: Any) -> bytes:
    return pack_note({"type": "summary", "values": values})
