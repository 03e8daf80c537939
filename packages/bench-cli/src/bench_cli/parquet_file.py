"""Points of a run as a Parquet file, which appears whole or not at all."""

import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from bench_core import sync_file, sync_folder

from bench_cli.errors import CliError

if TYPE_CHECKING:
    from bench_deploy import Points

GROUP_ROWS = 1 << 18
"""Rows of a row group: 10 MB in memory before it is written, and enough for readers to skip by."""

SCHEMA = pa.schema(
    [
        ("series", pa.dictionary(pa.int32(), pa.string())),
        ("attempt", pa.int32()),
        ("rank", pa.int32()),
        ("step", pa.int64()),
        ("time", pa.timestamp("ns", "UTC")),
        ("value", pa.float64()),
    ]
)
REPEATED = ["series", "attempt", "rank"]
"""Columns of few different values, which are written as a dictionary."""

RISING = {"step": "DELTA_BINARY_PACKED", "time": "DELTA_BINARY_PACKED"}
"""Columns that are written as differences."""


def write_parquet(path: Path, parts: "Iterable[Points]") -> int:
    """Write points to a file as they come, a row group at a time.

    Args:
        path: The file; there is nothing of its name yet.
        parts: The points.

    Returns:
        How many there were.

    Raises:
        CliError: There is something, or the file cannot be written.
        AuthError: The points cannot be read to their end.
    """
    _check_free(path)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:
            count = _write(file, parts)
            file.flush()
            sync_file(file.fileno())
        _check_free(path)
        os.rename(partial, path)
        sync_folder(path.parent)
    except OSError as error:
        raise CliError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return count


def _check_free(path: Path) -> None:
    if os.path.lexists(path):
        raise CliError(f"{path} is there already", hint="Name a file that is not there yet.")


def _write(file: IO[bytes], parts: "Iterable[Points]") -> int:
    count = 0
    with pq.ParquetWriter(file, SCHEMA, use_dictionary=REPEATED, column_encoding=RISING) as writer:
        for group in _groups(parts):
            writer.write_table(group, row_group_size=group.num_rows)
            count += group.num_rows
    return count


def _groups(parts: "Iterable[Points]") -> "Iterator[pa.Table]":
    """Tables of at least GROUP_ROWS rows each, but for the last; a part stays whole."""
    batches: list[pa.RecordBatch] = []
    rows = 0
    for part in parts:
        batches.append(_batch(part))
        rows += len(part.steps)
        if rows >= GROUP_ROWS:
            yield _table(batches)
            batches, rows = [], 0
    if rows:
        yield _table(batches)


def _table(batches: "list[pa.RecordBatch]") -> "pa.Table":
    return pa.Table.from_batches(batches, SCHEMA).unify_dictionaries()


def _batch(part: "Points") -> "pa.RecordBatch":
    count = len(part.steps)
    names = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), count), [part.name])
    columns = [
        names,
        pa.repeat(pa.scalar(part.attempt_number, pa.int32()), count),
        pa.repeat(pa.scalar(part.rank, pa.int32()), count),
        pa.array(part.steps, pa.int64()),
        pa.array(part.times_ns, pa.timestamp("ns", "UTC")),
        pa.array(part.values, pa.float64()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
