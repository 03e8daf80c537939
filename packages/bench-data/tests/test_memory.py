"""What a write, a read and a check take beyond what importing takes, measured in processes of their own."""

import os
import shutil

import process_tools
import pytest

LIMIT = 200 << 20

BEGIN = """
import resource, sys
import numpy as np
import bench_data, bench_data.writer, loky, cloudpickle
from data_samples import Computed

def peak():
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used << 10

before = peak()
"""
END = "print(peak() - before)"

LARGE_FILE = """
source = Computed(1, lambda item: ["large.bin"])
info = bench_data.write_chunks(source, "train", "out", bench_data.WriteOptions(workers=1, durable=False))
assert info.bytes > 400 << 20, info
(file,) = bench_data.ChunkDataset("train", "out")[0][1]
with file.open() as stream:
    stream.seek(-3, 2)
    assert stream.read() == b"end"
assert bench_data.verify("out/train").ok
"""

MANY_LABELS = """
class Rows(Computed):
    def __init__(self):
        super().__init__(300_000)

    def get_label_and_numeric_data(self, item):
        return np.full(32, item, np.float32), item % 10

info = bench_data.write_chunks(Rows(), "train", "out", bench_data.WriteOptions(workers=1, durable=False))
assert info.samples == 300_000
features, classes = bench_data.ChunkDataset("train", "out").stacked(range(0, 300_000, 100))
assert features.shape == (3000, 32)
"""


@pytest.mark.parametrize("work", [LARGE_FILE, MANY_LABELS], ids=["one large file", "many labels"])
def test_memory_stays_within_the_limit_whatever_the_size(work: str) -> None:
    with open("large.bin", "wb") as file:
        file.seek(400 << 20)
        file.write(b"end")
    try:
        assert int(process_tools.run(BEGIN + work + END)) < LIMIT
    finally:
        os.unlink("large.bin")
        shutil.rmtree("out", ignore_errors=True)
