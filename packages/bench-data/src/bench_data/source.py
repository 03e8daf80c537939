"""Reads samples from their source, and says what was read (FORMAT.md, section 5)."""

import inspect
import os
import struct
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from bench_data.errors import DataError, SourceError
from bench_data.label_collect import DIGEST_BYTES, LabelCollector
from bench_data.label_tree import Tree, infer_tree
from bench_data.options import WriteOptions
from bench_data.processor import FileContent, ProcessorDataset, SourceFile
from bench_data.stored_zip import VERSION, canonical_json

_OURS = str(Path(__file__).parent)
_STAT = struct.Struct("<Qq")
_LENGTH = struct.Struct("<L")
_IN_MEMORY = 0xFFFFFFFF

BATCH = 4096
"""Samples whose labels are collected at once: large enough for numpy, small enough for the memory limit."""

Rows = np.ndarray[Any, np.dtype[np.uint8]]


class SourceDigests:
    """Makes the source keys and source digests of samples, from what is known of their files and labels."""

    def __init__(self) -> None:
        self._files: list[tuple[bytes, bytes]] = []
        self.keys: list[bytes] = []
        self.rows: list[bytes] = []

    def add(self, names: bytes, stats: bytes) -> None:
        """Add the next sample's files; both empty if it has none."""
        self._files.append((names, stats))

    @property
    def pending(self) -> int:
        """Samples added since the last `take`."""
        return len(self._files)

    def take(self, label_digests: Iterable[bytes]) -> None:
        """Finish the samples added since the last call with their label digests."""
        labels, samples = list(label_digests), self._files
        keys = [
            blake3(names).digest(DIGEST_BYTES) if names else label
            for (names, _), label in zip(samples, labels, strict=True)
        ]
        self.rows += [
            blake3(key + stats + label).digest(DIGEST_BYTES) if names else label
            for (names, stats), key, label in zip(samples, keys, labels, strict=True)
        ]
        self.keys += keys
        self._files.clear()


def path_name(path: str | os.PathLike[str]) -> bytes:
    """A path's part of a source key."""
    encoded = os.fsencode(path)
    return _LENGTH.pack(len(encoded)) + encoded


def content_name(file: FileContent) -> bytes:
    """An in-memory file's part of a source key."""
    name = file.name.encode(errors="replace")
    return _LENGTH.pack(_IN_MEMORY) + _LENGTH.pack(len(name)) + name + blake3(file.data).digest()


def file_stat(size: int, mtime_ns: int) -> bytes:
    """A file's part of a sample's source digest."""
    return _STAT.pack(size, mtime_ns)


def sample_count(processor: ProcessorDataset) -> int:
    """The processor's length.

    Raises:
        SourceError: It is not a positive number.
    """
    try:
        count = len(processor)
    except Exception as error:
        raise SourceError(
            f"{type(processor).__name__}.__len__ failed: {user_error(error)}",
            hint="It must return the number of samples, 1 or more.",
        ) from error
    if count == 0:
        raise SourceError(
            f"{type(processor).__name__} has no samples (its __len__ is 0)", hint="Is the path right?"
        )
    return count


def read_sample(processor: ProcessorDataset, index: int) -> tuple[Sequence[SourceFile], Any]:
    """A sample's files and label, as the user's methods give them.

    Raises:
        SourceError: A method raised, or returned no list of paths.
    """
    try:
        files: Any = processor.get_file(index)
        label = processor.get_label_and_numeric_data(index)
    except Exception as error:
        raise SourceError(f"sample {index}: {type(processor).__name__} raised {user_error(error)}") from error
    if isinstance(files, (list, tuple)):
        return files, label
    if isinstance(files, (str, os.PathLike, FileContent)):
        return [files], label
    raise SourceError(f"sample {index}: get_file returned {files!r}", hint="It must return a list of paths.")


def at_sample(index: int, error: BaseException, path: object = None) -> DataError:
    """The error of one sample, naming it and the file concerned."""
    where = f"sample {index}" + (f", {os.fspath(path)!r}" if isinstance(path, (str, os.PathLike)) else "")
    if isinstance(error, DataError):
        return type(error)(f"{where}: {error.message}", hint=error.hint)
    what = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or repr(error)
    return SourceError(f"{where}: {what}", hint="What was written is kept; the same call goes on from there.")


class SourceScan:
    """What a scan of samples found: nothing is read but names, sizes, times and labels."""

    def __init__(self, tree: Tree) -> None:
        self._labels = LabelCollector(tree)
        self._digests = SourceDigests()
        self.bytes = 0

    def add(self, index: int, files: Sequence[SourceFile], label: Any) -> None:
        """Look at one sample."""
        try:
            self._labels.append(label)
        except DataError as error:
            raise at_sample(index, error) from error
        names, stats = bytearray(), bytearray()
        for file in files:
            if isinstance(file, FileContent):
                size = len(file.data)
                names += content_name(file)
                stats += file_stat(size, 0)
            else:
                try:
                    stat = os.stat(file)
                    names += path_name(file)
                except (OSError, ValueError, TypeError) as error:
                    raise at_sample(index, error, file) from error
                size = stat.st_size
                stats += file_stat(size, stat.st_mtime_ns)
            self.bytes += size
        self._digests.add(bytes(names), bytes(stats))

    def take(self) -> tuple[Rows, Rows]:
        """The source keys and digests, (N, 16) each, of all samples added."""
        pieces, labels = self._labels.take(self._digests.pending)
        self.bytes += sum(len(piece.data) for piece in pieces)
        self._digests.take(labels)
        found = as_rows(self._digests.keys), as_rows(self._digests.rows)
        self._digests = SourceDigests()
        return found


def scan(processor: ProcessorDataset, indices: Iterable[int], tree: Tree) -> Iterator[tuple[Rows, Rows]]:
    """Scan samples.

    Args:
        processor: The source.
        indices: Which samples.
        tree: The structure that their labels must have.

    Yields:
        Source keys and source digests, (n, 16) each, batch by batch.
    """
    found = SourceScan(tree)
    pending = 0
    for index in indices:
        found.add(index, *read_sample(processor, index))
        pending += 1
        if pending == BATCH:
            yield found.take()
            pending = 0
    if pending:
        yield found.take()


def scan_all(processor: ProcessorDataset, indices: Sequence[int]) -> tuple[Rows, Rows]:
    """Scan samples, the first one's label deciding the structure; their keys and digests."""
    keys, rows = np.empty((2, len(indices), DIGEST_BYTES), np.uint8)
    at = 0
    for found in scan(processor, indices, first_tree(processor, indices[0])):
        end = at + len(found[0])
        keys[at:end], rows[at:end] = found
        at = end
    return keys, rows


def first_tree(processor: ProcessorDataset, index: int) -> Tree:
    """The structure of one sample's label."""
    try:
        return infer_tree(read_sample(processor, index)[1])
    except DataError as error:
        raise error if str(error).startswith("sample ") else at_sample(index, error) from error


def as_rows(digests: list[bytes]) -> Rows:
    """Digests of 16 bytes as an array (N, 16)."""
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)


def source_digest(processor: ProcessorDataset, options: WriteOptions, samples: int, row_sum: bytes) -> str:
    """The digest of what was read: `source_digest` in the manifest.

    Args:
        processor: The source.
        options: What it is written with.
        samples: How many samples there are.
        row_sum: The sum of their source digests (`sum_rows`).
    """
    fields = {
        "class": class_source(type(processor)),
        "options": options.layout,
        "rows": row_sum.hex(),
        "samples": samples,
        "version": VERSION,
    }
    return blake3(canonical_json(fields)).hexdigest()


def version_digest(options: WriteOptions) -> str:
    """The source digest where the user named the source's version."""
    fields = {"options": options.layout, "source_version": options.source_version, "version": VERSION}
    return blake3(canonical_json(fields)).hexdigest()


def sum_rows(batches: Iterable[Rows]) -> bytes:
    """The sum of source digests, as two u64 lanes."""
    total = np.zeros(2, np.uint64)
    for rows in batches:
        total += np.ascontiguousarray(rows).view("<u8").sum(axis=0, dtype=np.uint64)
    return total.astype("<u8").tobytes()


def class_source(kind: type) -> str:
    """The text of a class, or its name where no text is to be had (an interactive session)."""
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return kind.__qualname__


def user_error(error: BaseException) -> str:
    """An exception with the frames of the user's files only."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_OURS)]
    text = "".join(traceback.format_list(frames)).rstrip()
    what = "".join(traceback.format_exception_only(type(error), error)).strip()
    return f"{what}\n{text}" if text else what
