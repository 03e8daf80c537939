"""Runs blocks in worker processes, with this process as one of them.

A worker that is a new interpreter takes half a second to start, and seconds if the user's module imports
torch; by then this process has written some hundred megabytes. It also takes back what a worker has not
begun, so that a small write never waits for one.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future

from bench_data.blocks import (
    WriteJob,
    claim,
    ship_processor,
    write_block,
    write_shipped_block,
    write_unless_claimed,
)
from bench_data.errors import WorkerLostError
from bench_data.plan import Block
from bench_data.processor import ProcessorDataset
from bench_data.worker_processes import no_interrupt, wait_for_any, worker_processes

QUEUED = 2
"""Blocks waiting at each worker: enough that it never waits for the next."""

CHECK_SECONDS = 0.2
"""Between two calls of `check` while this process waits for the others."""

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
    check: Callable[[], None] = lambda: None,
) -> None:
    """Write all blocks.

    Args:
        job: The write.
        processor: The source.
        blocks: What to write.
        workers: Processes that write at a time, this one included.
        executor: Where they run instead of in processes of our own; then this process only waits.
        done: Called here for each finished block.
        check: Called here several times a second, between samples; what it raises ends the write.

    Raises:
        WorkerLostError: A worker was killed.
        DataError: A block failed; those before it are kept.
    """
    workers = min(workers, len(blocks))
    if executor is not None:
        _Shared(job, processor, executor, done, check, help_out=False).run(blocks, workers * QUEUED)
    elif workers > 1:
        with worker_processes(workers - 1, may_fork=True) as own:
            _Shared(job, processor, own, done, check, help_out=True).run(blocks, (workers - 1) * QUEUED)
    else:
        for block in blocks:
            done(block, write_block(job, processor, block.number, block.indices().tolist(), check))


class _Shared:
    """Blocks that are handed to an executor.

    Args:
        job: The write.
        processor: The source.
        executor: Writes them.
        done: Called here for each finished block.
        check: Called here several times a second.
        help_out: Whether this process writes too. It then takes back blocks that no worker has begun; only
            our own workers ask whether they may begin: an executor of the user's may run a lost task again.
    """

    def __init__(
        self,
        job: WriteJob,
        processor: ProcessorDataset,
        executor: Executor,
        done: Done,
        check: Callable[[], None],
        *,
        help_out: bool,
    ) -> None:
        self._job, self._processor, self._executor, self._done = job, processor, executor, done
        self._check_others, self._help_out = check, help_out
        self._digest = ship_processor(job, processor)
        self._running: dict[Future[int], Block] = {}
        self._failed: list[Future[int]] = []

    def run(self, blocks: Sequence[Block], queued: int) -> None:
        """Write all blocks, `queued` of them handed out at a time."""
        waiting = iter(blocks)
        block = next(waiting, None)
        try:
            while block is not None or self._running:
                while block is not None and len(self._running) < queued:
                    self._hand_out(block)
                    block = next(waiting, None)
                mine: Block | None = None
                if self._help_out and block is not None:
                    mine, block = block, next(waiting, None)
                elif self._help_out:
                    mine = self._take_back()
                self._write_and_collect(mine)
        except BrokenExecutor as error:
            numbers = ", ".join(str(block.number) for block in self._running.values())
            raise WorkerLostError(
                f"a worker process was killed while it wrote block {numbers} ({str(error).splitlines()[0]})",
                hint="Out of memory? Take fewer workers. Finished blocks are kept; the same call goes on.",
            ) from error
        finally:
            if not self._help_out:  # our own executor ends its workers, and loses its way if it meets these
                for future in self._running:
                    future.cancel()

    def _hand_out(self, block: Block) -> None:
        write = write_unless_claimed if self._help_out else write_shipped_block
        indices = block.indices().tobytes()
        with no_interrupt():
            future = self._executor.submit(write, self._job, self._digest, block.number, indices)
            self._running[future] = block
            future.add_done_callback(self._note)

    def _note(self, future: "Future[int]") -> None:
        if not future.cancelled() and future.exception() is not None:
            self._failed.append(future)

    def _check(self) -> None:
        """A worker's failure is seen at once, however long this process's own block takes."""
        if self._failed:
            self._failed[0].result()
        self._check_others()

    def _take_back(self) -> Block | None:
        """A block that was handed out and that no worker has begun."""
        for future, block in self._running.items():
            if not future.done() and claim(self._job, block.number):
                del self._running[future]
                return block
        return None

    def _write_and_collect(self, mine: Block | None) -> None:
        """Write a block if there is one, else wait for one; then count those that are finished."""
        if mine is not None:
            indices = mine.indices().tolist()
            self._done(mine, write_block(self._job, self._processor, mine.number, indices, self._check))
        for future in wait_for_any(self._running, 0 if mine else CHECK_SECONDS):
            self._done(self._running[future], future.result())
            del self._running[future]
        self._check_others()
