"""What a write does with files when its blocks are done, and what it looks for before."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from bench_core import sync_file, sync_folder

from bench_data.blocks import WriteJob
from bench_data.manifest import CHUNKS, Manifest, Segment, SegmentPart, segment_name, write_segment
from bench_data.plan import Block, Kept

SYNC_THREADS = 4
"""Files made durable at a time: a disk takes several requests at once."""


def broken_chunks(manifest: Manifest) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which chunks are missing or have another size: they are written again."""
    sizes = []
    for row in manifest.chunk_rows():
        found = -1
        with suppress(OSError):
            found = row.path.stat().st_size
        sizes.append(found != row.size)
    return np.array(sizes, np.bool_)


def joined_segment(
    job: WriteJob, parts: Sequence[Kept | Block], previous: Manifest | None
) -> tuple[Segment, str]:
    """The new version's segment file for these parts, and its digest."""
    joined = []
    for part in parts:
        if isinstance(part, Block):
            segment = Segment(job.receipt(part.number))
            joined.append(SegmentPart(segment, 0, segment.chunks))
        elif previous is not None:
            segment = previous.segments[part.segment]
            if part.last - part.first == segment.chunks:
                return segment, previous.segment_digests[part.segment]
            joined.append(SegmentPart(segment, part.first, part.last))
    temporary = job.work / "segment.tmp"
    digest = write_segment(temporary, joined).digest.hex()
    path = job.folder / segment_name(digest)
    os.replace(temporary, path)
    return Segment(path), digest


def sync_files(folder: Path, names: set[str]) -> None:
    """Return when these files and their names are on the disk."""

    def sync(name: str) -> None:
        descriptor = os.open(folder / name, os.O_RDONLY)
        try:
            sync_file(descriptor)
        finally:
            os.close(descriptor)

    with ThreadPoolExecutor(SYNC_THREADS) as threads:
        list(threads.map(sync, names))
    for parent in (folder / CHUNKS, folder, folder.parent):
        sync_folder(parent)
