"""A dataset that takes some seconds to write. As a script it writes it, and keeps no chunk."""

import json
import sys
import time
from dataclasses import asdict
from typing import Any

import numpy as np
from bench_data import ChunkDataset, ProcessorDataset, WriteOptions, process_datasets

COUNT = 240
SAMPLE_BYTES = 100_000


class Slow(ProcessorDataset):
    """Labels of 100 kB, 24 MB in all, each of which takes 10 ms to make."""

    def __init__(self, workers: int) -> None:
        self.write_options = WriteOptions(workers=workers, chunk_bytes=1 << 20, durable=False)

    def __len__(self) -> int:
        return COUNT

    def get_label_and_numeric_data(self, item: int) -> Any:
        time.sleep(0.01)
        return np.random.default_rng(item).integers(0, 256, SAMPLE_BYTES, np.uint8)


if __name__ == "__main__":
    info = process_datasets(Slow(int(sys.argv[1])), ChunkDataset, "train", keep_chunks=False)
    assert info.uploaded is not None
    assert "grpc" not in sys.modules
    counts = {"chunks": info.chunks, "chunks_written": info.chunks_written, "bytes": info.bytes}
    print(json.dumps({**counts, **asdict(info.uploaded)}))
