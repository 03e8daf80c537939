"""What a dry run says about a dataset."""

from pathlib import Path

import pytest
from bench_data import ChunkDataset, WriteInfo, WriteOptions, process, write_chunks
from bench_data.writer import WritePlan, plan_chunks
from data_samples import Labels

OPTIONS = WriteOptions(workers=1, durable=False, chunk_bytes=1 << 10, order="source")


class Small(Labels):
    write_options = OPTIONS


def samples(count: int) -> Small:
    return Small([bytes([number]) * 200 for number in range(count)])


def numbers(plan: WritePlan) -> tuple[bool, int, int, int, bool]:
    return (
        plan.is_changed,
        plan.samples,
        plan.samples_to_write,
        plan.chunks_to_keep,
        plan.previous is not None,
    )


def test_nothing_is_written(tmp_path: Path) -> None:
    assert numbers(plan_chunks(samples(40), "x", tmp_path / "out")) == (True, 40, 40, 0, False)
    assert not (tmp_path / "out").exists()


def test_a_plan_is_what_is_then_written(tmp_path: Path) -> None:
    written = write_chunks(samples(40), "x", tmp_path)
    assert written.chunks > 2
    assert numbers(plan_chunks(samples(40), "x", tmp_path)) == (False, 40, 0, written.chunks, True)
    assert numbers(plan_chunks(samples(50), "x", tmp_path)) == (True, 50, 10, written.chunks, True)
    plan = plan_chunks(samples(3), "x", tmp_path)
    assert (plan.is_changed, plan.samples) == (True, 3)
    info = write_chunks(samples(3), "x", tmp_path)
    assert info.chunks - info.chunks_written == plan.chunks_to_keep


def test_a_dry_run_of_process_datasets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[str, WriteInfo]] = []
    process.listeners.append(lambda name, info: told.append((name, info)))
    try:
        process.plan_datasets(samples(40), ChunkDataset, "x", tmp_path)
        write_chunks(samples(40), "x", tmp_path)
        info = process.plan_datasets(samples(40), ChunkDataset, "x", tmp_path)
    finally:
        process.listeners.clear()
    assert capsys.readouterr().err == (
        "x: 40 of 40 samples would be written, 0 chunks would stay\n"
        f"x: nothing changed (40 samples in {info.chunks} chunks)\n"
    )
    assert [(name, found.samples, found.fingerprint) for name, found in told] == [
        ("x", 40, ""),
        ("x", 40, info.fingerprint),
    ]
