"""Writes a dataset: plan, write, commit (FORMAT.md, section 7)."""

import os
import time
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from bench_core import atomic_write

from bench_data.blocks import WriteJob
from bench_data.committing import broken_chunks, joined_segment, sync_files
from bench_data.errors import DatasetNotFoundError, FormatError, NewerFormatError, write_failed
from bench_data.executor import run_blocks
from bench_data.folders import OUTGOING, dataset_folder, sweep, work_folder, write_lock
from bench_data.info import WriteInfo, info_fields
from bench_data.label_tree import Tree
from bench_data.manifest import (
    MANIFEST,
    Manifest,
    read_manifest,
)
from bench_data.options import WriteOptions, usable_cpus
from bench_data.outgoing import CHUNKS_PER_WORKER, Outgoing
from bench_data.plan import Block, Indices, Kept, OldSegment, Plan, match, plan_new, plan_update
from bench_data.processor import ProcessorDataset
from bench_data.progress import progress_bar
from bench_data.sender import Sender
from bench_data.source import (
    SourceScan,
    first_tree,
    read_sample,
    sample_count,
    scan_all,
    source_digest,
    sum_rows,
    version_digest,
)
from bench_data.stored_zip import CENTRAL, INDEX_DTYPE, LOCAL
from bench_data.streamed import forget_streamed, read_streamed, streamed_name

PROBES = 64
"""Samples looked at to estimate the size of one: the plan's error is then an eighth of the sizes' spread."""

FILE_OVERHEAD = LOCAL.size + CENTRAL.size + INDEX_DTYPE.itemsize + 2 * 16
"""What a chunk adds to a file, in bytes, with a name of 16."""


def write_chunks(
    processor: ProcessorDataset,
    name: str,
    root: str | os.PathLike[str] | None = None,
    options: WriteOptions | None = None,
    *,
    executor: Executor | None = None,
    progress: bool | None = None,
) -> WriteInfo:
    """Write a dataset, or bring one up to date.

    If the dataset is there, only what changed in the source is written: chunks of unchanged samples stay as
    they are, a chunk with an edited or removed sample is rewritten, new samples make new chunks. An
    interrupted call is resumed by calling again. The bytes do not depend on the number of workers.

    Args:
        processor: Where the samples come from.
        name: The dataset's name, one folder name.
        root: The folder that holds datasets; if not given, `$BENCH_DATA_ROOT`, else `.bench/datasets` of the
            nearest project folder upwards, else of the current folder.
        options: How to write; `processor.write_options` unless given.
        executor: Runs the blocks in place of processes of our own; it must share the dataset's folder.
        progress: Show a progress bar on standard error; if None, on a terminal only.

    Returns:
        What the dataset is now, and how many chunks were written.

    Raises:
        SourceError: A sample cannot be read; the message names it and its file.
        LabelError: A label cannot be stored, or its structure differs from the others'.
        WriteError: Writing stopped: disk full, no right, another writer, a worker killed.
        OptionsError: An argument cannot be.
    """
    options = options or processor.write_options
    return _write(_Write(processor, dataset_folder(name, root), options, executor, progress))


def write_and_send(
    processor: ProcessorDataset, name: str, root: str | os.PathLike[str] | None, sender: Sender
) -> WriteInfo:
    """`write_chunks` with the processor's options, with the chunks on a server in the end and not here.

    Args:
        processor: Where the samples come from.
        name: The dataset's name.
        root: As for `write_chunks`.
        sender: Sends them.

    Raises:
        CloudError: They cannot be sent. The same call goes on from there.
        DataError: As `write_chunks`.
    """
    write = _Write(processor, dataset_folder(name, root), processor.write_options, None, None, sender)
    return replace(_write(write), uploaded=sender.version)


def _write(write: "_Write") -> WriteInfo:
    began = time.monotonic()
    with write_lock(write.folder):
        manifest, chunks_written = write.run()
    fields = info_fields(manifest)
    return WriteInfo(**fields, chunks_written=chunks_written, seconds=time.monotonic() - began)


@dataclass(frozen=True, kw_only=True)
class WritePlan:
    """What `write_chunks` would do.

    Args:
        is_changed: Whether anything differs from the version that is there.
        samples: How many the dataset would have.
        samples_to_write: In chunks that would be written.
        chunks_to_keep: Chunks that would stay as they are.
        previous: The version that is there, or None.
    """

    is_changed: bool
    samples: int
    samples_to_write: int
    chunks_to_keep: int
    previous: Manifest | None


def plan_chunks(
    processor: ProcessorDataset,
    name: str,
    root: str | os.PathLike[str] | None = None,
    *,
    keep_chunks: bool = True,
) -> WritePlan:
    """Find out what `write_chunks` would do; nothing is written, and no server is asked.

    Args:
        processor: Where the samples come from.
        name: The dataset's name.
        root: As for `write_chunks`.
        keep_chunks: Whether chunks that are on a server only would be written again.

    Raises:
        SourceError: A sample cannot be read.
        LabelError: A label cannot be stored.
    """
    folder, options = dataset_folder(name, root), processor.write_options
    write = _Write(processor, folder, options, None, None, trust_streamed=not keep_chunks)
    previous = write.previous()
    planned = write.plan(previous)
    if planned is None:
        assert previous is not None
        return WritePlan(
            is_changed=False,
            samples=previous.samples,
            samples_to_write=0,
            chunks_to_keep=len(previous.chunk_sizes),
            previous=previous,
        )
    parts = [part for segment in planned[0].segments for part in segment]
    return WritePlan(
        is_changed=True,
        samples=sample_count(processor),
        samples_to_write=sum(part.stop - part.start for part in parts if isinstance(part, Block)),
        chunks_to_keep=sum(part.last - part.first for part in parts if isinstance(part, Kept)),
        previous=previous,
    )


@dataclass
class _Write:
    """One call of `write_chunks` that holds the lock, or of `plan_chunks`."""

    processor: ProcessorDataset
    folder: Path
    options: WriteOptions
    executor: Executor | None
    progress: bool | None
    sender: Sender | None = None
    trust_streamed: bool = False

    def run(self) -> tuple[Manifest, int]:
        """The dataset's manifest, and how many chunks were written."""
        previous = self.previous()
        planned = self.plan(previous)
        if planned is None:
            assert previous is not None
            self._leave(previous)
            return previous, 0
        return self._execute(*planned, previous)

    def plan(self, previous: Manifest | None) -> tuple[Plan, Tree] | None:
        """What has to be written, or None if nothing changed since the previous version."""
        version = self.options.source_version
        if previous and version is not None and previous.source_digest == version_digest(self.options):  # noqa: SIM102
            if not self._broken_chunks(previous).any():
                return None
        samples = sample_count(self.processor)
        if previous is None:
            return self._plan_new(samples)
        return self._plan_update(previous, samples)

    def previous(self) -> Manifest | None:
        """The version that is there, if its chunks can be kept."""
        try:
            previous = read_manifest(self.folder)
        except NewerFormatError:
            raise
        except (DatasetNotFoundError, FormatError):
            return None
        return previous if previous.options == self.options.layout else None

    def _broken_chunks(self, manifest: Manifest) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which chunks have to be written again: they are nowhere."""
        broken = broken_chunks(manifest)
        if self.sender is not None and broken.any():
            broken &= self.sender.lacking(manifest)
        elif self.trust_streamed and read_streamed(self.folder, manifest.fingerprint) is not None:
            broken[:] = False
        return broken

    def _plan_new(self, samples: int) -> tuple[Plan, Tree]:
        tree = first_tree(self.processor, 0)
        return plan_new(samples, self._sample_bytes(tree, samples), self.options), tree

    def _plan_update(self, previous: Manifest, samples: int) -> tuple[Plan, Tree] | None:
        keys, rows = scan_all(self.processor, range(samples))
        digest = self._source_digest(samples, sum_rows([rows]))
        broken = self._broken_chunks(previous)
        if digest == previous.source_digest and not broken.any():
            return None
        now, changed, new = match((previous.column("keys"), previous.column("rows")), (keys, rows))
        changed |= np.repeat(broken, np.diff(previous.chunk_starts))
        old, start = [], 0
        for segment in previous.segments:
            here = slice(start, start + segment.total)
            old.append(OldSegment(segment.samples, now[here], changed[here]))
            start += segment.total
        tree = first_tree(self.processor, 0)
        return plan_update(old, new, self._sample_bytes(tree, len(new), new), self.options), tree

    def _sample_bytes(self, tree: Tree, count: int, indices: Indices | None = None) -> float:
        """About how many bytes one of these samples (of all, unless given) takes in a chunk."""
        if not count:
            return 1.0
        probes = np.unique(np.linspace(0, count - 1, PROBES).astype(np.int64))
        if indices is not None:
            probes = indices[probes]
        found, overhead = SourceScan(tree), 0
        for index in probes.tolist():
            files, label = read_sample(self.processor, index)
            found.add(index, files, label)
            overhead += FILE_OVERHEAD * len(files)
        found.take()
        return max(1.0, (found.bytes + overhead) / len(probes))

    def _execute(self, plan: Plan, tree: Tree, previous: Manifest | None) -> tuple[Manifest, int]:
        work = work_folder(self.folder, plan.digest(previous.fingerprint if previous else None, self.options))
        job = WriteJob(
            folder=self.folder,
            work=work,
            tree=tree,
            chunk_bytes=self.options.chunk_bytes,
            durable=self.options.durable,
            outgoing=self._outgoing(work) if self.sender is not None else None,
        )
        if self.sender is not None:
            self.sender.begin(job)
        written = self._run_blocks(job, plan)
        if self.sender is not None:
            self.sender.finish()
        try:
            return self._commit(job, plan, previous), written
        except OSError as error:
            raise write_failed(error) from error

    @property
    def _workers(self) -> int:
        return self.options.workers or usable_cpus()

    def _outgoing(self, work: Path) -> Outgoing:
        folder = work / OUTGOING
        folder.mkdir(exist_ok=True)
        return Outgoing(folder=folder, limit=CHUNKS_PER_WORKER * self._workers)

    def _run_blocks(self, job: WriteJob, plan: Plan) -> int:
        written = 0
        samples = sum(block.stop - block.start for block in plan.blocks)
        with progress_bar(f"Writing {self.folder.name}", samples, self.progress) as advance:

            def done(block: Block, chunks: int) -> None:
                nonlocal written
                written += chunks
                advance(block.stop - block.start)

            if plan.blocks:
                run_blocks(
                    job,
                    self.processor,
                    plan.blocks,
                    workers=self._workers,
                    executor=self.executor,
                    done=done,
                    check=self.sender.check if self.sender is not None else lambda: None,
                )
        return written

    def _commit(self, job: WriteJob, plan: Plan, previous: Manifest | None) -> Manifest:
        segments = [joined_segment(job, parts, previous) for parts in plan.segments]
        manifest = Manifest(
            folder=self.folder,
            tree=job.tree,
            segments=tuple(segment for segment, _ in segments),
            segment_digests=tuple(digest for _, digest in segments),
            options=self.options.layout,
            source_digest="",
            source_version=self.options.source_version,
        )
        digest = self._source_digest(manifest.samples, sum_rows(s.column("rows") for s in manifest.segments))
        manifest = replace(manifest, source_digest=digest)
        if self.options.durable:
            new = manifest.file_names() - (previous.file_names() if previous else set())
            sync_files(self.folder, new if self.sender is None else new & manifest.segment_names())
        if self.sender is not None:
            staged = job.work / MANIFEST
            staged.write_bytes(manifest.to_json())
            self.sender.make_version(manifest, staged, durable=self.options.durable)
        atomic_write(self.folder / MANIFEST, manifest.to_json(), durable=self.options.durable)
        sweep(self.folder, self._left(manifest))
        return manifest

    def _leave(self, manifest: Manifest) -> None:
        """Nothing changed: see that the chunks are where they are to be."""
        if self.sender is None:
            forget_streamed(self.folder)
            return
        self.sender.make_version(manifest, self.folder / MANIFEST, durable=self.options.durable)
        sweep(self.folder, self._left(manifest))

    def _left(self, manifest: Manifest) -> set[str]:
        """What stays in the folder of a committed dataset."""
        if self.sender is None:
            return manifest.file_names()
        return manifest.segment_names() | {streamed_name(manifest.fingerprint)}

    def _source_digest(self, samples: int, row_sum: bytes) -> str:
        if self.options.source_version is not None:
            return version_digest(self.options)
        return source_digest(self.processor, self.options, samples, row_sum)
