"""ArrayRecord. A record is the class as 4 bytes and then the file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from array_record.python.array_record_data_source import ArrayRecordDataSource
from array_record.python.array_record_module import ArrayRecordWriter
from torch.utils.data import DataLoader, Dataset

from benchmarks.contenders import BATCH, WORKERS
from benchmarks.contenders.processes import halves, settle, write_halves
from benchmarks.contenders.touch import byte_toucher
from benchmarks.data import Sample, samples

OPTIONS = "group_size:1,uncompressed"


def write(source: Path, out: Path, durable: bool) -> None:
    out.mkdir(parents=True)
    all_samples = samples(source)
    write_halves(_write_file, [[all_samples[i] for i in half] for half in halves(len(all_samples))], out)
    settle(durable)


def epoch(source: Path, out: Path, through_path: bool) -> Iterable[tuple[Any, Any]]:
    return DataLoader(_Records(out, through_path), BATCH, shuffle=True, num_workers=WORKERS)


class _Records(Dataset[tuple[int, int]]):
    def __init__(self, out: Path, through_path: bool) -> None:
        self._source = ArrayRecordDataSource(sorted(map(str, out.iterdir())))
        self._touch = byte_toucher(through_path)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> tuple[int, int]:
        return self._use(self._source[index])

    def __getitems__(self, indices: list[int]) -> list[tuple[int, int]]:
        return [self._use(record) for record in self._source.__getitems__(indices)]

    def _use(self, record: bytes) -> tuple[int, int]:
        return int.from_bytes(record[:4], "little"), self._touch(record[4:])


def _write_file(part: int, part_samples: list[Sample], out: Path) -> None:
    writer = ArrayRecordWriter(f"{out}/{part}.array_record", OPTIONS)
    for path, label in part_samples:
        with open(path, "rb") as file:
            writer.write(label.to_bytes(4, "little") + file.read())
    writer.close()
