"""Worker processes of our own: how they start, and that Ctrl-C or a kill leaves none."""

import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from typing import TypeVar

LOOK_UP = 0.2
"""Seconds after which somebody who waits for a result sees that Ctrl-C was pressed."""

ENVIRONMENT = {"LOKY_MAX_MEMORY_LEAK_SIZE": "1e18"}
"""Of new interpreters: loky would take one that imports torch for a leak, and start another in its place."""

Result = TypeVar("Result")


@contextmanager
def worker_processes(workers: int, *, may_fork: bool) -> Iterator[Executor]:
    """Processes that run tasks, gone when the block ends, whatever they are doing then.

    Args:
        workers: How many.
        may_fork: Start them by fork where nothing can go wrong with that; else they are new interpreters.
    """
    from loky import ProcessPoolExecutor

    with no_interrupt():
        context = fork_context() if may_fork else None
        executor = ProcessPoolExecutor(
            workers, context=context, initializer=_begin_worker, initargs=(os.getpid(),), env=ENVIRONMENT
        )
        with warnings.catch_warnings():
            # Of numpy's threads, which are made for this.
            warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
            executor.submit(int)  # starts the workers
    try:
        yield executor
    finally:
        with no_interrupt():
            executor.shutdown(wait=True, kill_workers=True)


def wait_for_any(futures: Collection["Future[Result]"], seconds: float | None) -> set["Future[Result]"]:
    """Those that are done; waits for the first one.

    Args:
        futures: What to wait for.
        seconds: How long at most; None: until there is one.
    """
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        left = LOOK_UP if end is None else min(LOOK_UP, max(0.0, end - time.monotonic()))
        with no_interrupt():
            done = wait(futures, left, FIRST_COMPLETED).done
        if done or not futures or (end is not None and time.monotonic() >= end):
            return done


@contextmanager
def no_interrupt() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block: it would leave an executor with a lock held, for ever.

    Processes that are started meanwhile are born without it.
    """
    pressed: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    # Python interrupts its main thread only, and cannot put back a handler that is not Python's.
    ours = threading.current_thread() is threading.main_thread() and handler is not None
    if ours:
        signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        if ours:
            signal.signal(signal.SIGINT, handler)
        if pressed:
            signal.raise_signal(signal.SIGINT)


def fork_context() -> multiprocessing.context.BaseContext | None:
    """How workers start: by fork, in 20 ms, where no other thread can hold a lock then; else as loky does."""
    torch = sys.modules.get("torch")
    if sys.platform != "linux" or multiprocessing.get_start_method(allow_none=True) not in (None, "fork"):
        return None
    if threading.active_count() > 1 or (torch is not None and torch.cuda.is_initialized()):
        return None
    return multiprocessing.get_context("fork")


def _begin_worker(parent: int) -> None:
    """Ctrl-C reaches the whole group; the parent ends its workers itself, and they end if it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)  # as DataLoader does: OpenMP's threads do not survive a fork
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
