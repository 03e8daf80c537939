"""LitData.

Unless told otherwise `optimize` starts its workers by spawn, which costs seconds of imports, and shares one
work queue between them. Forked workers with a slice each were several times faster, so it gets those here.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from litdata import StreamingDataLoader, StreamingDataset, optimize
from litdata.streaming import downloader

from benchmarks.contenders import BATCH, WORKERS
from benchmarks.contenders.processes import settle
from benchmarks.contenders.touch import byte_toucher
from benchmarks.data import Sample, samples
from benchmarks.servers import s3_server


def write(source: Path, out: Path, durable: bool) -> None:
    optimize(
        _read_sample,
        inputs=samples(source),
        output_dir=str(out),
        chunk_bytes="64MB",
        num_workers=WORKERS,
        start_method="fork",
        keep_data_ordered=True,
        verbose=False,
    )
    settle(durable)


def epoch(source: Path, out: Path, through_path: bool) -> Iterable[tuple[Any, Any]]:
    touch = partial(_label_and_touch, byte_toucher(through_path))
    dataset = StreamingDataset(str(out), shuffle=True, transform=touch)
    loader: Iterable[tuple[Any, Any]] = StreamingDataLoader(dataset, batch_size=BATCH, num_workers=WORKERS)
    return loader


@contextmanager
def open_stream(folder: Path, scratch: Path) -> Iterator[Callable[[], Iterable[tuple[Any, Any]]]]:
    """Epochs from `rclone serve s3`, each over the same cache, empty before the first."""
    with s3_server(folder.parent) as url:
        # LitData gives its fast client, obstore, no way to take an endpoint without TLS.
        downloader._OBSTORE_CLIENT_OPTIONS["allow_http"] = True
        touch = partial(_label_and_touch, byte_toucher(False))

        def epoch() -> Iterable[tuple[Any, Any]]:
            dataset = StreamingDataset(
                f"s3://{folder.name}",
                cache_dir=str(scratch / "cache"),
                shuffle=True,
                transform=touch,
                storage_options={"endpoint_url": url},
                batch_decode="all",  # else it decodes 256 samples, or reads a whole chunk, for each sample
                max_cache_size="25GB",
            )
            batches: Iterable[tuple[Any, Any]] = StreamingDataLoader(
                dataset, batch_size=BATCH, num_workers=WORKERS
            )
            return batches

        yield epoch


def _read_sample(sample: Sample) -> dict[str, Any]:
    path, label = sample
    with open(path, "rb") as file:
        return {"image": file.read(), "label": label}


def _label_and_touch(touch: Any, sample: dict[str, Any]) -> tuple[int, int]:
    return sample["label"], touch(sample["image"])
