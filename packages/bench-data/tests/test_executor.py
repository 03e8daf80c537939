"""How workers are started; what they do is tested by the tests of the writer."""

import multiprocessing
import sys
import threading

import process_tools
import pytest
from bench_data import executor


def test_workers_are_forked_only_where_no_other_thread_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    found = executor._context()
    assert found is not None
    assert found.get_start_method() == "fork"
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert executor._context() is None
    finally:
        stop.set()
        thread.join()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert executor._context() is None


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_are_not_forked_where_the_user_wants_another_way(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: method)
    assert executor._context() is None


FORKED_AFTER_THREADS = """
import torch
from bench_data import ChunkDataset, WriteOptions, write_chunks
from data_samples import Computed

torch.set_num_threads(4)
ones = torch.ones(1000, 1000)
ones @ ones + ones.sum()  # OpenMP's threads are there now, and would not be in a forked worker

def label(item):
    return float((torch.ones(300, 300) @ torch.ones(300, 300)).sum())

options = WriteOptions(workers=2, chunk_bytes=1024, durable=False)
info = write_chunks(Computed(2000, None, label), "train", "out", options)
assert ChunkDataset("train", "out")[1999] == 300.0**3
print(info.samples)
"""


def test_labels_may_use_torch_in_forked_workers_after_it_has_used_threads() -> None:
    assert process_tools.run(FORKED_AFTER_THREADS) == "2000\n"
