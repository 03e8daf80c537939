"""What is known of a dataset without reading its samples."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_data.cloud import CloudVersion
from bench_data.label_tree import describe, tree_to_json
from bench_data.manifest import Manifest, read_manifest
from bench_data.streamed import read_streamed


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What is known of a dataset without reading its samples.

    Args:
        path: Its folder.
        samples: How many there are.
        bytes: Of all chunks.
        chunks: How many there are.
        segments: How many writes added samples.
        schema: The structure of the labels, as FORMAT.md writes it.
        schema_text: The same in a few words.
        with_files: Whether any sample has a file.
        fingerprint: The digest of what was written; changes when any sample does.
        source_digest: The digest of what it was made from.
        streamed: Whether its chunks are on a server only, and streamed from there.
    """

    path: Path
    samples: int
    bytes: int
    chunks: int
    segments: int
    schema: dict[str, Any]
    schema_text: str
    with_files: bool
    fingerprint: str
    source_digest: str
    streamed: bool


@dataclass(frozen=True, kw_only=True)
class WriteInfo(DatasetInfo):
    """A dataset that was just written, or found unchanged.

    Args:
        chunks_written: How many chunks this call wrote; 0 if nothing changed.
        seconds: How long it took.
        uploaded: What `process_datasets` made of it on the server; None if no project is known.
    """

    chunks_written: int
    seconds: float
    uploaded: CloudVersion | None = None


def dataset_info(path: str | os.PathLike[str]) -> DatasetInfo:
    """What is known of a dataset without reading its samples.

    Args:
        path: The dataset's folder.

    Raises:
        DatasetNotFoundError: There is no dataset.
        FormatError: It is damaged.
    """
    return DatasetInfo(**info_fields(read_manifest(Path(path))))


def info_fields(manifest: Manifest) -> dict[str, Any]:
    """The fields of `DatasetInfo`."""
    return {
        "path": manifest.folder,
        "samples": manifest.samples,
        "bytes": sum(manifest.chunk_sizes),
        "chunks": len(manifest.chunk_sizes),
        "segments": len(manifest.segments),
        "schema": tree_to_json(manifest.tree),
        "schema_text": describe(manifest.tree),
        "with_files": manifest.with_files,
        "fingerprint": manifest.fingerprint,
        "source_digest": manifest.source_digest,
        "streamed": read_streamed(manifest.folder, manifest.fingerprint) is not None,
    }
