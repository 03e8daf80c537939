"""Checks a dataset that a stranger made, before anybody reads it.

`verify` trusts the writer and looks for damage. Here nothing is trusted: whatever a manifest, a segment file
or a chunk says must follow from the bytes or agree with the others, so that none can lead a reader astray.
"""

from pathlib import Path

import numpy as np

from bench_data.chunk_reader import Chunk
from bench_data.errors import FormatError
from bench_data.label_columns import LeafColumn
from bench_data.label_tree import sorted_tree, stored_leaves
from bench_data.manifest import MANIFEST, PER_SAMPLE, Manifest, chunk_name, read_manifest
from bench_data.records import check_records
from bench_data.stored_zip import INDEX_DTYPE, LOCAL, Member


def read_checked_manifest(folder: Path) -> Manifest:
    """Read a manifest whose every byte follows from the segment files.

    Args:
        folder: The dataset's folder; the segment files' digests have been compared with their names.

    Raises:
        FormatError: It says something else than they do.
    """
    manifest = read_manifest(folder)
    for segment in manifest.segments:
        if not segment.chunks or not segment.total or (segment.samples == 0).any():
            raise FormatError(f"{segment.path.name}: a segment or chunk without samples")
        for name in PER_SAMPLE:
            segment.column(name)  # a row for each sample bears out their number
    if not manifest.segments:
        raise FormatError(f"{MANIFEST}: no segments")
    if len(set(manifest.chunk_digests)) != len(manifest.chunk_digests):
        raise FormatError(f"{MANIFEST}: a chunk comes twice")
    if (folder / MANIFEST).read_bytes() != manifest.to_json():
        raise FormatError(f"{MANIFEST} does not agree with the segment files")
    return manifest


def check_chunks(manifest: Manifest) -> None:
    """Check each chunk's structure, and that it is what the manifest says of it.

    The bytes of files are not read: the chunk's digest covers them, and whoever reads one compares its
    checksum (docs/decisions/0020-a-commit-does-not-read-file-bytes.md).

    Args:
        manifest: From `read_checked_manifest`; the chunks' digests have been compared.

    Raises:
        FormatError: The first thing that is wrong.
    """
    tree, sizes = sorted_tree(manifest.tree), [segment.column("files") for segment in manifest.segments]
    counts = zip(np.diff(manifest.chunk_starts).tolist(), np.concatenate(sizes).tolist(), strict=True)
    for row, digest, (samples, files) in zip(
        manifest.chunk_rows(), manifest.chunk_digests, counts, strict=True
    ):
        name = chunk_name(digest)
        chunk = Chunk(row)
        # First of all: these counts are borne out by the segment file's rows, and loops run to them.
        if (chunk.samples, chunk.files) != (samples, files) or sorted_tree(chunk.tree) != tree:
            raise FormatError(f"{name}: its samples, files or labels are not those of {MANIFEST}")
        _check_places(chunk, name)
        # Not chunk.labels, which imports the module that a named tuple names.
        for number, leaf in enumerate(stored_leaves(chunk.tree)):
            LeafColumn(chunk.file, number, leaf, samples)
        for column, place in chunk.file.header["columns"].items():
            chunk.file.check(Member(*place), f"{column}.npy")
        _check_names(chunk, name, check_records(chunk))


def _check_places(chunk: Chunk, name: str) -> None:
    """Members follow each other in the file: none overlaps another, or lies outside."""
    index = chunk.file.column("index") if chunk.files else np.empty(0, INDEX_DTYPE)
    if index.dtype != INDEX_DTYPE or index.shape != (chunk.files,):
        raise FormatError(f"{name}, index.npy: does not fit the header")
    leaves = range(len(stored_leaves(chunk.tree)))
    labels = {f"labels/{leaf}{part}" for leaf in leaves for part in ("", ".starts", ".shapes")}
    if unknown := chunk.file.header["columns"].keys() - labels - {"index", "file_starts"}:
        raise FormatError(f"{name}: an unknown column {min(unknown)[:100]!r}")
    columns = sorted(Member(*place) for place in chunk.file.header["columns"].values())
    places = [*columns, chunk.file.header_member]
    size = chunk.file.size
    limit = np.uint64(size)
    if (index["offset"] > limit).any() or (index["length"] > limit).any():
        raise FormatError(f"{name}: a file that lies outside")
    if any(place.offset > size or place.length > size for place in places):
        raise FormatError(f"{name}: a column that lies outside")
    starts = [*index["offset"].tolist(), *(place.offset for place in places)]
    lengths = [*index["length"].tolist(), *(place.length for place in places)]
    end = 0
    for start, length in zip(starts, lengths, strict=True):
        if start < end + LOCAL.size:
            raise FormatError(f"{name}: a member at offset {start} overlaps the one before")
        end = start + length
    if end > size:
        raise FormatError(f"{name}: a member that ends outside")


def _check_names(chunk: Chunk, name: str, members: list[bytes]) -> None:
    for sample in range(chunk.samples if chunk.files else 0):
        for place, number in enumerate(chunk.file_numbers(sample)):
            member = members[number]
            expected = b"%d.%d/" % (sample, place) if place else b"%d/" % sample
            base = member[len(expected) :]
            if not member.startswith(expected) or base in (b"", b".", b"..") or b"/" in base or b"\0" in base:
                raise FormatError(f"{name}: {member!r} is no name for file {place} of sample {sample}")
