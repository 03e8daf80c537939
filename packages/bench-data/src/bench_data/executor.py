"""Runs blocks in worker processes, with this process as one of them.

A new worker takes half a second to start, and seconds if the user's module imports torch; by then this
process has written some hundred megabytes.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from typing import Any

from bench_data.blocks import WriteJob, ship_processor, write_block, write_shipped_block
from bench_data.errors import WorkerLostError
from bench_data.plan import Block
from bench_data.processor import ProcessorDataset

QUEUED = 2
"""Blocks waiting at each worker: enough that it never waits for the next."""

Done = Callable[[Block, int], None]
"""Called with each finished block and the number of chunks written for it."""


def run_blocks(
    job: WriteJob,
    processor: ProcessorDataset,
    blocks: Sequence[Block],
    *,
    workers: int,
    executor: Executor | None,
    done: Done,
) -> None:
    """Write all blocks.

    Args:
        job: The write.
        processor: The source.
        blocks: What to write.
        workers: Processes that write at a time, this one included.
        executor: Where they run instead of in processes of our own; then this process only waits.
        done: Called here for each finished block.

    Raises:
        WorkerLostError: A worker was killed.
        DataError: A block failed; those before it are kept.
    """
    workers = min(workers, len(blocks))
    if executor is not None:
        _run_shared(job, processor, blocks, executor, workers * QUEUED, done, help_out=False)
    elif workers > 1:
        with _own_executor(workers - 1) as own:
            _run_shared(job, processor, blocks, own, (workers - 1) * QUEUED, done, help_out=True)
    else:
        for block in blocks:
            done(block, write_block(job, processor, block.number, block.indices().tolist()))


@contextmanager
def _own_executor(workers: int) -> Iterator[Executor]:
    from loky import ProcessPoolExecutor

    executor = ProcessPoolExecutor(workers, initializer=_begin_worker, initargs=(os.getpid(),))
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, kill_workers=True)


def _begin_worker(parent: int) -> None:
    """Ctrl-C reaches the whole group; the parent ends its workers itself, and they end if it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _run_shared(
    job: WriteJob,
    processor: ProcessorDataset,
    blocks: Sequence[Block],
    executor: Executor,
    queued: int,
    done: Done,
    *,
    help_out: bool,
) -> None:
    digest = ship_processor(job, processor)
    waiting = iter(blocks)
    running: dict[Future[int], Block] = {}
    block = next(waiting, None)

    def check() -> None:  # a worker's failure is seen at once, however long this process's own block takes
        for future in running:
            if future.done():
                future.result()

    try:
        while block is not None or running:
            while block is not None and len(running) < queued:
                task: tuple[Any, ...] = (job, digest, block.number, block.indices().tobytes())
                running[executor.submit(write_shipped_block, *task)] = block
                block = next(waiting, None)
            if help_out and block is not None:
                mine, block = block, next(waiting, None)
                done(mine, write_block(job, processor, mine.number, mine.indices().tolist(), check))
                finished = {future for future in running if future.done()}
            else:
                finished = wait(running, return_when=FIRST_COMPLETED).done
            for future in finished:
                done(running[future], future.result())
                del running[future]
    except BrokenExecutor as error:
        numbers = ", ".join(str(block.number) for block in running.values())
        raise WorkerLostError(
            f"a worker process was killed while it wrote block {numbers} ({str(error).splitlines()[0]})",
            hint="Out of memory? Write with fewer workers. Finished blocks are kept; the same call goes on.",
        ) from error
    finally:
        for future in running:
            future.cancel()
