"""Who is measured, and how each is set up: as its documentation or its maintainers recommend for speed.

A contender is a module of this package that has those functions of `Contender` that its works need. Only the
process that measures it imports it.
"""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

BATCH = 64
WORKERS = 2
SHARD_BYTES = 64 << 20
"""MDS's, LitData's and bench-data's own default; given to the others, so that all can shuffle shards."""


class Contender(Protocol):
    """What such a module has."""

    def write(self, source: Path, out: Path, durable: bool) -> None:
        """Write the files below `source` and their classes to `out`, with two processes where it can."""

    def epoch(self, source: Path, out: Path, through_path: bool) -> Iterable[tuple[Any, Any]]:
        """Batches of (labels, touched) of one shuffled epoch by two DataLoader workers."""

    def fetcher(self, out: Path) -> Callable[[list[int]], None]:
        """Open `out`; the result reads all bytes of the samples of a batch."""

    def label_write(self, source: Path, out: Path) -> None:
        """Write the rows of `source` (`data.rows`)."""


@dataclass(frozen=True)
class Entry:
    """A contender as the tables show it."""

    title: str
    settings: str
    distributions: tuple[str, ...] = ()


CATALOGUE = {
    "tar": Entry("GNU tar", "`tar cf` of the source folder; one process, no labels, no digests"),
    "plain_files": Entry(
        "plain files",
        "`open(path, 'rb').read()` in a map-style dataset, `DataLoader(shuffle=True)`: an exact shuffle",
    ),
    "web_dataset": Entry(
        "WebDataset",
        "a `ShardWriter` in each of 2 processes on its half, bytes given (no encoder), 64 MiB shards; "
        "read by `WebLoader` with all shards shuffled, `.shuffle(1000)`, batches made in the workers",
        ("webdataset",),
    ),
    "mds": Entry(
        "MosaicML Streaming (MDS)",
        "an `MDSWriter` in each of 2 processes on its half, then `merge_index`; no hashes, no compression; "
        "read by `StreamingDataset(local=..., shuffle=True, batch_size=64)` with its default `py1e` shuffle",
        ("mosaicml-streaming",),
    ),
    "lit_data": Entry(
        "LitData",
        "`optimize(num_workers=2, chunk_bytes='64MB', start_method='fork', keep_data_ordered=True)`; read by "
        "`StreamingDataLoader` from `StreamingDataset(shuffle=True)`, which maps local chunks in place",
        ("litdata",),
    ),
    "array_record_files": Entry(
        "ArrayRecord",
        "an `ArrayRecordWriter` in each of 2 processes on its half, `group_size:1,uncompressed`; read by "
        "`ArrayRecordDataSource` with `DataLoader(shuffle=True)`: an exact shuffle",
        ("array_record",),
    ),
    "bench_data_chunks": Entry(
        "bench-data",
        "`write_chunks` with `workers=2`, otherwise as it comes: BLAKE3 and CRC-32 of everything; read by "
        "`loader(shuffle='exact')`, checksums verified",
        ("torch", "numpy", "blake3", "isal", "loky"),
    ),
    "bare_stream": Entry(
        "bare gRPC stream",
        "1 MiB messages of bytes, one stream after the other; the receiver hashes (BLAKE3) and writes",
        ("grpcio",),
    ),
    "cp": Entry("cp", "`cp -r` of the dataset's folder"),
    "bare_docker": Entry("bare Docker", "`docker build` of the same scripts, `docker run` of the same image"),
    "by_hand": Entry("by hand", "`python TrainScript.py` on this machine, with the image's packages"),
    "bench_runs": Entry("Bench", "`bench run --follow`, as it comes"),
    "summary_writer": Entry(
        "TensorBoard",
        "`add_scalar` of a `torch.utils.tensorboard.SummaryWriter` for each value, as it comes",
        ("tensorboard",),
    ),
    "mlflow_server": Entry(
        "MLflow",
        "`mlflow.log_metrics` to `mlflow server` with SQLite on this machine, whose runners of jobs are off; "
        "otherwise as it comes",
        ("mlflow",),
    ),
    "mlflow_behind": Entry("MLflow, not waiting", "the same with `synchronous=False`"),
    "bare_write": Entry("bare write", "`os.write` of as many bytes to a file, and nothing else"),
    "without_logging": Entry("no logging", "the same steps"),
    "bare_copy": Entry("bare copy", "`Tensor.clone` of each"),
    "bench_track_run": Entry(
        "bench-track",
        "`bench_track.init` and its agent, to a server with SQLite on this machine, as they come",
    ),
}


def load(name: str) -> Contender:
    return cast(Contender, importlib.import_module(f"{__name__}.{name}"))
