"""The workers' task: one block of samples becomes chunks and a receipt (FORMAT.md, section 7).

A block can be done again at any time, by anybody: chunks are named by their content, and the receipt comes
last.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
from blake3 import blake3

from bench_data.chunk_writer import ChunkWriter, WrittenChunk
from bench_data.errors import FormatError, OptionsError, write_failed
from bench_data.label_tree import Tree
from bench_data.manifest import Segment, chunk_name, file_digest, write_segment_columns
from bench_data.outgoing import Outgoing
from bench_data.processor import ProcessorDataset
from bench_data.source import read_sample, scan, user_error

PROCESSOR = "processor.pickle"


@dataclass(frozen=True, kw_only=True)
class WriteJob:
    """What a worker needs to know, beside the processor.

    Args:
        folder: The dataset's folder.
        work: The plan's folder in it.
        tree: The structure of the labels.
        chunk_bytes: A chunk with as many bytes is closed.
        durable: Have the system begin to write to the disk at once.
        outgoing: Where finished chunks go instead of the dataset's folder, if to a server.
    """

    folder: Path
    work: Path
    tree: Tree
    chunk_bytes: int
    durable: bool
    outgoing: Outgoing | None = None

    def receipt(self, block: int) -> Path:
        """Where a finished block's segment file lies."""
        return self.work / f"block-{block:06d}.npz"


def ship_processor(job: WriteJob, processor: ProcessorDataset) -> str:
    """Put the processor where the workers find it.

    Returns:
        Its digest, hex.

    Raises:
        OptionsError: It cannot be pickled.
    """
    try:
        data: bytes = cloudpickle.dumps(processor)
    except Exception as error:
        raise OptionsError(
            f"{type(processor).__name__} cannot be sent to worker processes: {error}",
            hint="Keep open files, locks and generators out of its attributes, or write with workers=1.",
        ) from error
    (job.work / PROCESSOR).write_bytes(data)
    return blake3(data).hexdigest()


def write_shipped_block(job: WriteJob, digest: str, number: int, indices: bytes) -> int:
    """`write_block` in a worker process.

    Args:
        job: The write.
        digest: The processor's, from `ship_processor`.
        number: The block's number.
        indices: Its source indices, int64.
    """
    processor = _load_processor(job.work / PROCESSOR, digest)
    return write_block(job, processor, number, np.frombuffer(indices, np.int64).tolist())


def write_unless_claimed(job: WriteJob, digest: str, number: int, indices: bytes) -> int:
    """`write_shipped_block`, unless the parent has taken the block back."""
    return write_shipped_block(job, digest, number, indices) if claim(job, number) else 0


def claim(job: WriteJob, number: int) -> bool:
    """Take a block; False if another process has it. Claims end with the write, finished or not."""
    try:
        os.close(os.open(job.work / f"claim-{number:06d}.tmp", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


@lru_cache(maxsize=1)
def _load_processor(path: Path, digest: str) -> ProcessorDataset:
    data = path.read_bytes()
    if blake3(data).hexdigest() != digest:
        raise FormatError(f"{path} is not the processor of this write", hint="Run the same call again.")
    try:
        processor: ProcessorDataset = cloudpickle.loads(data)
    except Exception as error:
        raise OptionsError(
            f"the processor cannot be rebuilt in a worker process: {user_error(error)}",
            hint="What it needs must be there for every worker; or write with workers=1.",
        ) from error
    return processor


def write_block(
    job: WriteJob,
    processor: ProcessorDataset,
    number: int,
    indices: list[int],
    check: Callable[[], None] | None = None,
) -> int:
    """Write one block, unless it is there already.

    Args:
        job: The write.
        processor: The source.
        number: The block's number.
        indices: The source indices of its samples, in the order of storage.
        check: Called before each sample; what it raises ends the block.

    Returns:
        How many chunks were written; 0 if the block was there.

    Raises:
        SourceError, LabelError: A sample cannot be read or stored.
        WriteError: A chunk cannot be written.
    """
    receipt = job.receipt(number)
    if _is_done(job, processor, receipt, indices):
        return 0
    chunks: list[WrittenChunk] = []
    temporary = job.work / f"chunk-{number:06d}-{os.getpid()}.tmp"
    try:
        _write_chunks(job, processor, indices, temporary, chunks, check)
        _write_receipt(receipt, chunks)
        _place(job, chunks[-1])  # now: a block that is on a server whole has its receipt
    except OSError as error:
        raise write_failed(error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return len(chunks)


def _write_chunks(
    job: WriteJob,
    processor: ProcessorDataset,
    indices: list[int],
    temporary: Path,
    chunks: list[WrittenChunk],
    check: Callable[[], None] | None,
) -> None:
    writer: ChunkWriter | None = None
    try:
        for index in indices:
            if check is not None:
                check()
            files, label = read_sample(processor, index)
            if writer is None:
                writer = _begin_chunk(job, temporary, chunks, check)
            writer.add(index, files, label)
            if writer.bytes >= job.chunk_bytes:
                chunks.append(writer.finish())
                writer = None
        if writer is not None:
            chunks.append(writer.finish())
            writer = None
    finally:
        if writer is not None:
            writer.close()


def _begin_chunk(
    job: WriteJob, temporary: Path, before: list[WrittenChunk], check: Callable[[], None] | None
) -> ChunkWriter:
    if before:
        _place(job, before[-1])
    if job.outgoing is not None:
        job.outgoing.wait_for_room(check)
    return ChunkWriter(temporary, job.tree, early_writeback=job.durable)


def _place(job: WriteJob, chunk: WrittenChunk) -> None:
    digest = chunk.file.digest.hex()
    if job.outgoing is not None:
        job.outgoing.place(chunk.temporary, digest)
    else:
        os.replace(chunk.temporary, job.folder / chunk_name(digest))


def _write_receipt(receipt: Path, chunks: list[WrittenChunk]) -> None:
    columns: dict[str, list[np.ndarray[Any, Any]]] = {
        "samples": [np.array([chunk.samples for chunk in chunks], "<u4")],
        "files": [np.array([chunk.files for chunk in chunks], "<u8")],
        "sizes": [np.array([chunk.file.size for chunk in chunks], "<u8")],
        "digests": [np.frombuffer(b"".join(chunk.file.digest for chunk in chunks), np.uint8).reshape(-1, 32)],
        "headers": [np.array([chunk.file.header_crc32 for chunk in chunks], "<u4")],
        "keys": [chunk.keys for chunk in chunks],
        "rows": [chunk.rows for chunk in chunks],
    }
    temporary = receipt.with_suffix(f".{os.getpid()}.tmp")
    write_segment_columns(temporary, columns)
    os.replace(temporary, receipt)


def _is_done(job: WriteJob, processor: ProcessorDataset, receipt: Path, indices: list[int]) -> bool:
    """Whether the block was finished, and neither its sources nor its chunks have changed since.

    Of a receipt whose chunks go to a server they were looked for before (`Sender.begin`).
    """
    if not receipt.exists():
        return False
    try:
        done = Segment(receipt)
        rows, digests, sizes = done.column("rows"), done.digests, done.column("sizes")
        paths = (job.folder / chunk_name(digest) for digest in digests)
        intact = job.outgoing is not None or all(map(_is_intact, paths, digests, sizes.tolist()))
    except FormatError:
        return False
    if not intact or len(rows) != len(indices):
        return False
    found = [batch for _, batch in scan(processor, indices, job.tree)]
    return bool(np.array_equal(np.concatenate(found), rows))


def _is_intact(path: Path, digest: str, size: int) -> bool:
    try:
        if path.stat().st_size != size:
            return False
        return file_digest(path) == digest
    except OSError:
        return False
