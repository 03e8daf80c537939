"""Finds every byte of a dataset that is not what was written."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench_data.chunk_reader import Chunk, ChunkRow
from bench_data.errors import FormatError, NewerFormatError
from bench_data.manifest import (
    MANIFEST,
    Manifest,
    file_digest,
    read_manifest,
    read_segment_digests,
    segment_name,
)
from bench_data.options import usable_cpus
from bench_data.stored_zip import TAIL_BYTES, Member, central_record, end_records, local_header
from bench_data.streamed import read_streamed


class Problem(NamedTuple):
    """One place that is not as it was written.

    Args:
        chunk: The file, relative to the dataset's folder.
        member: The member in it; empty if it is the file as a whole.
        offset: Where in the file the member's data, or the record concerned, begins.
        what: What is wrong.
    """

    chunk: str
    member: str
    offset: int
    what: str

    def __str__(self) -> str:
        member = f", {self.member}" if self.member else ""
        return f"{self.chunk}{member} at offset {self.offset}: {self.what}"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `verify` found.

    Args:
        path: The dataset's folder.
        chunks: Chunks read.
        bytes: Their size.
        problems: Everything that is wrong, in the order of the chunks.
        streamed_chunks: Chunks that are on a server only: nothing is said of them.
    """

    path: Path
    chunks: int
    bytes: int
    problems: tuple[Problem, ...]
    streamed_chunks: int = 0

    @property
    def ok(self) -> bool:
        """Whether every byte that is here is as it was written."""
        return not self.problems

    def __str__(self) -> str:
        found = "ok" if self.ok else f"{len(self.problems)} problem{'s' * (len(self.problems) > 1)}"
        lines = [f"{self.path}: {self.chunks} chunks, {self.bytes:,} bytes: {found}"]
        if self.streamed_chunks:
            lines.append(f"{self.streamed_chunks} chunks are on the server only, and were not read")
        return "\n".join(lines + [str(problem) for problem in self.problems])


def verify(path: str | os.PathLike[str]) -> Report:
    """Read a dataset whole and compare it with the digests of its manifest.

    Chunks that are on a server only are not read: the server did when it took them.

    To mend a damaged or missing chunk, remove the file and write the dataset again: only that chunk is
    written.

    Args:
        path: The dataset's folder.

    Raises:
        DatasetNotFoundError: There is no dataset.
        NewerFormatError: A newer release wrote it.
    """
    folder = Path(path)
    problems: list[Problem] = []
    try:
        problems += _check_segments(folder)
        manifest = read_manifest(folder)
        rows, streamed = _rows_here(manifest)
    except FormatError as error:
        if isinstance(error, NewerFormatError) and not problems:
            raise
        problems = problems or [Problem(MANIFEST, "", 0, error.message)]
        return Report(path=folder, chunks=0, bytes=0, problems=tuple(problems))
    with ThreadPoolExecutor(usable_cpus()) as threads:  # BLAKE3 runs without the interpreter's lock
        found = list(threads.map(lambda row: _check_chunk(folder, *row), rows))
    problems += [*_check_manifest(manifest), *(problem for chunk in found for problem in chunk)]
    return Report(
        path=folder,
        chunks=len(rows),
        bytes=sum(row.size or 0 for row, _ in rows),
        problems=tuple(problems),
        streamed_chunks=streamed,
    )


def _rows_here(manifest: Manifest) -> tuple[list[tuple[ChunkRow, str]], int]:
    """The chunks to be read, with their digests, and how many are on a server instead."""
    rows = list(zip(manifest.chunk_rows(), manifest.chunk_digests, strict=True))
    if read_streamed(manifest.folder, manifest.fingerprint) is None:
        return rows, 0
    here = [(row, digest) for row, digest in rows if row.path.exists()]
    return here, len(rows) - len(here)


def _check_segments(folder: Path) -> Iterator[Problem]:
    for digest in read_segment_digests(folder):
        name = segment_name(digest)
        try:
            if file_digest(folder / name) != digest:
                yield Problem(name, "", 0, "its digest is not that of the manifest")
        except FileNotFoundError:
            yield Problem(name, "", 0, "missing")
        except OSError as error:
            yield Problem(name, "", 0, f"cannot be read: {error.strerror}")


def _check_manifest(manifest: Manifest) -> Iterator[Problem]:
    found, expected = (manifest.folder / MANIFEST).read_bytes(), manifest.to_json()
    if found != expected:
        yield Problem(MANIFEST, "", _difference(found, expected), "does not agree with the segment files")


def _difference(found: bytes, expected: bytes) -> int:
    """Where two texts begin to differ."""
    shorter = min(len(found), len(expected))
    return next((at for at in range(shorter) if found[at] != expected[at]), shorter)


def _check_chunk(folder: Path, row: ChunkRow, digest: str) -> list[Problem]:
    name = row.path.relative_to(folder).as_posix()
    try:
        found = row.path.stat().st_size
        if found == row.size and file_digest(row.path) == digest:
            return []
    except FileNotFoundError:
        return [Problem(name, "", 0, "missing")]
    except OSError as error:
        return [Problem(name, "", 0, f"cannot be read: {error.strerror}")]
    if found != row.size:
        return [
            Problem(name, "", min(found, row.size or 0), f"has {found} bytes, and {row.size} were written")
        ]
    problems = [Problem(name, *place) for place in find_damage(row.path)]
    return problems or [Problem(name, "", 0, "is another chunk than the manifest names")]


class Damage(NamedTuple):
    """A damaged place in a chunk."""

    member: str
    offset: int
    what: str


def find_damage(path: Path) -> Iterator[Damage]:
    """Check a chunk against itself: every byte is covered by a checksum or follows from others.

    Args:
        path: The chunk.

    Yields:
        Each damaged place; none if the chunk is whole.
    """
    try:
        chunk = Chunk(ChunkRow(path))
    except FormatError as error:
        yield Damage("", max(0, path.stat().st_size - TAIL_BYTES), error.message)
        return
    columns = {name: Member(*place) for name, place in chunk.file.header["columns"].items()}
    damaged = set()
    for name, member in columns.items():
        try:
            chunk.file.check(member, name)
        except FormatError:
            damaged.add(name)
            yield Damage(f"{name}.npy", member.offset, "its bytes are not those that were written")
    if "index" in damaged:
        return  # where the files lie is not known
    for number in range(chunk.files):
        yield from _check_file(chunk, number)
    yield from _check_records(chunk, columns)


def _check_file(chunk: Chunk, number: int) -> Iterator[Damage]:
    try:
        for _ in chunk.file_pieces(number):
            pass
    except FormatError:
        offset = chunk.file_member(number)[0]
        yield Damage(_name(chunk, number), offset, "its bytes are not those that were written")


def _check_records(chunk: Chunk, columns: dict[str, Member]) -> Iterator[Damage]:
    """Make every header anew and compare it with what is there."""
    file, header = chunk.file, chunk.file.header_member
    members = [
        (_name(chunk, number).encode(), Member(*chunk.file_member(number))) for number in range(chunk.files)
    ]
    rest = sorted(columns.items(), key=lambda item: item[1].offset)
    members += [(f"{name}.npy".encode(), member) for name, member in rest]
    members.append((b"chunk.json", header))
    end, directory = 0, bytearray()
    for number, (name, member) in enumerate(members):
        is_column = chunk.files <= number < len(members) - 1
        expected = local_header(name, member.length, member.crc32, align_at=end if is_column else None)
        if file.pread(end, member.offset - end) != expected:
            yield Damage(name.decode(errors="replace"), end, "its local header is not what was written")
        directory += central_record(name, member.length, member.crc32, end)
        end = member.offset + member.length
    expected = bytes(directory) + end_records(len(members), end, len(directory), header)
    found = file.pread(end, file.size - end)
    if found != expected:
        at = end + _difference(found, expected)
        yield Damage("", at, "the central directory is not what was written")


def _name(chunk: Chunk, number: int) -> str:
    try:
        return chunk.member_name(number)
    except FormatError:
        return f"file {number}"
