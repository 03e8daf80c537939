"""A block that a write left finished is kept only if it still is what the write would make."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from bench_data import ChunkDataset, WriteOptions, verify, write_chunks
from bench_data.blocks import WriteJob, claim, ship_processor, write_shipped_block
from bench_data.errors import FormatError, SourceError
from bench_data.label_tree import Leaf
from data_samples import Files, Labels, make_files, snapshot
from writer_tools import OPTIONS, check

COUNT = 60


class Stopping(Files):
    """Stops a write at its last sample, as often as it is told to."""

    stop = True

    def get_label_and_numeric_data(self, item: int) -> int:
        if self.stop and item == COUNT - 1 and list(Path("out/train/.writing").glob("*/block-*.npz")):
            raise ValueError("stop")
        return int(super().get_label_and_numeric_data(item))


@pytest.fixture
def stopped() -> Stopping:
    """A write that was stopped when all blocks but the last were finished."""
    source = Stopping(make_files(Path("source"), COUNT))
    with pytest.raises(SourceError, match="stop"):
        write(source)
    assert list(Path("out/train").rglob("*.tmp")) == []
    source.stop = False
    return source


def write(source: Files, name: str = "train") -> int:
    options = WriteOptions(workers=1, chunk_bytes=OPTIONS.chunk_bytes, order="source", durable=False)
    return write_chunks(source, name, "out", options).chunks_written


def test_finished_blocks_are_kept(stopped: Stopping) -> None:
    assert write(stopped) == 1
    write(stopped, "fresh")
    assert snapshot(Path("out/train")) == snapshot(Path("out/fresh"))


def _flip(chunk: Path) -> None:
    data = bytearray(chunk.read_bytes())
    data[1000] ^= 1
    chunk.write_bytes(data)


@pytest.mark.parametrize("damage", [_flip, Path.unlink, lambda chunk: os.truncate(chunk, 1000)])
def test_a_block_whose_chunk_was_damaged_since_is_written_again(
    stopped: Stopping, damage: Callable[[Path], object]
) -> None:
    damage(min(Path("out/train/chunks").iterdir()))
    assert write(stopped) == 2
    assert verify("out/train").ok
    check(stopped)


def test_a_block_whose_source_changed_since_is_written_again(stopped: Stopping) -> None:
    Path(stopped.paths[3]).write_bytes(b"other")
    assert write(stopped) == 2
    assert ChunkDataset("train", "out")[3][1][0].read_bytes() == b"other"
    check(stopped)


@pytest.fixture
def job() -> WriteJob:
    Path("work").mkdir()
    return WriteJob(folder=Path(), work=Path("work"), tree=Leaf("int"), chunk_bytes=1 << 20, durable=False)


def test_one_process_only_claims_a_block(job: WriteJob) -> None:
    assert [claim(job, number) for number in (0, 1, 0, 1)] == [True, True, False, False]


def test_the_processor_of_another_write_is_refused(job: WriteJob) -> None:
    digest = ship_processor(job, Labels([1, 2]))
    ship_processor(job, Labels([3, 4]))
    with pytest.raises(FormatError, match="is not the processor of this write"):
        write_shipped_block(job, digest, 0, b"")
