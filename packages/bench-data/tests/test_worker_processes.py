"""How worker processes start, and what Ctrl-C does; what they do is tested by the tests of the writer."""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future

import process_tools
import pytest
from bench_data import worker_processes

FORKED_OR_NOT = """
import sys, threading
from bench_data.worker_processes import fork_context

sys.platform = "linux"
assert fork_context().get_start_method() == "fork"
stop = threading.Event()
thread = threading.Thread(target=stop.wait)
thread.start()
assert fork_context() is None
stop.set()
thread.join()
sys.platform = "darwin"
assert fork_context() is None
"""


def test_workers_are_forked_only_where_no_other_thread_runs() -> None:
    assert process_tools.run(FORKED_OR_NOT) == ""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_are_not_forked_where_the_user_wants_another_way(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: method)
    assert worker_processes.fork_context() is None


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


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    done = []

    def work() -> None:
        with worker_processes.no_interrupt():
            with worker_processes.no_interrupt():
                os.kill(os.getpid(), signal.SIGINT)
                done.append("inner")
            done.append("outer")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_the_users_own_handler_is_put_back_and_called() -> None:
    called: list[int] = []
    handler = lambda number, _: called.append(number)  # noqa: E731
    before = signal.signal(signal.SIGINT, handler)
    try:
        with worker_processes.no_interrupt():
            signal.raise_signal(signal.SIGINT)
            assert not called
        assert called == [signal.SIGINT]
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_thread_may_not_handle_signals_and_needs_not() -> None:
    entered = []

    def enter() -> None:
        with worker_processes.no_interrupt():
            entered.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [signal.default_int_handler]


def test_who_waits_for_a_result_can_be_interrupted() -> None:
    never: Future[int] = Future()
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        worker_processes.wait_for_any([never], None)
    timer.join()


def test_waiting_ends_with_the_first_result_or_the_time() -> None:
    never, there = Future[int](), Future[int]()
    there.set_result(1)
    assert worker_processes.wait_for_any([never, there], None) == {there}
    assert worker_processes.wait_for_any([never], 0) == set()
    assert worker_processes.wait_for_any([never], 0.01) == set()
    assert worker_processes.wait_for_any(list[Future[int]](), None) == set()
